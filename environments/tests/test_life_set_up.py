"""What becomes of a set-up that isn't complete, of changed keys and of changed variables, on every way that a machine
can go: on a real local cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncssh
import pytest
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.services import SignIn
from accounts.ssh_keys import ssh_key_add, ssh_key_delete, ssh_keys_drop
from devpocket.testing.localcloud import LocalCloud
from environments import changes, snapshots
from environments.cloud_init import ENVIRONMENT_FILE, PROGRESS_FILE, SETUP_COMMAND
from environments.lifecycle import Phase, TerminalWhen
from environments.models import Environment
from environments.tests.conftest import Until
from environments.tests.life import Create, act, change, is_running, is_stopped, resize, run_on, running, snapshot_of
from templates_catalog.models import Template

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("provisioning")]

Way = Callable[[Environment, Until], Awaitable[Environment]]


# --- The set-up


@pytest.mark.parametrize("when", [*TerminalWhen, None])
async def test_a_template_says_when_people_are_let_in_and_all_is_there_in_the_end(
    when: TerminalWhen | None, pat: SignIn, create: Create, until: Until
) -> None:
    def choose() -> None:
        template = Template.objects.get(pk="ubuntu")
        template.config = {**(template.config or {}), **({"terminal_when": when} if when else {})}
        template.save()

    await database_sync_to_async(choose)()
    row = await running(pat, create, until)
    assert row.terminal_when == (when or TerminalWhen.SSH)
    if when == TerminalWhen.COMPLETE:
        assert row.installation_completed
    row = await until(row, lambda now: now.installation_completed)
    assert (row.install_percent, row.install_error, row.status_message) == (100, "", "Ready")


async def interrupt(row: Environment) -> None:
    """Make it a machine whose set-up is under way."""
    await run_on(
        row,
        f'progress="${{DEVPOCKET_ROOT}}{PROGRESS_FILE}"; sed -i "/completion/d" "$progress"; '
        'rm "${DEVPOCKET_ROOT}/var/lib/devpocket/done/finish" "${DEVPOCKET_ROOT}/var/lib/devpocket/done/docker"; '
        'echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) 74 development_tools Installing Docker" >> "$progress"',
    )
    await change(row, installation_completed=False, install_percent=0, next_step_at=timezone.now())


async def half_installed(pat: SignIn, create: Create, until: Until) -> Environment:
    row = await running(pat, create, until)
    await until(row, lambda now: now.installation_completed and now.next_step_at is None)
    await interrupt(row)
    return await until(row, lambda now: now.status_message == "Installing Docker (74 %)")


async def to_running(row: Environment, until: Until) -> Environment:
    return await until(row, lambda now: is_running(now) and now.phase_changed_at > row.phase_changed_at)


async def stop_and_start(row: Environment, until: Until) -> Environment:
    await act(row, "stop")
    await until(row, is_stopped)
    await act(row, "start")
    return await to_running(row, until)


async def restart(row: Environment, until: Until) -> Environment:
    await act(row, "restart")
    return await to_running(row, until)


async def change_size(row: Environment, until: Until) -> Environment:
    await resize(row, "s-1vcpu-1gb")
    return await to_running(row, until)


async def recover(row: Environment, until: Until) -> Environment:
    await change(row, phase=Phase.ERROR, error_code="starting_timeout", next_step_at=None)
    await act(row, "recover")
    return await to_running(row, until)


async def hibernate_and_start(row: Environment, until: Until) -> Environment:
    await act(row, "hibernate")
    await until(row, is_stopped)
    await act(row, "start")
    return await to_running(row, until)


async def restore(row: Environment, name: str) -> None:
    def ask() -> None:
        made = row.snapshots.get(name=name)
        snapshots.snapshot_restore(
            environment_id=row.pk, snapshot_id=made.pk, owner_id=row.owner_id, actor_id=row.owner_id
        )

    await database_sync_to_async(ask)()


@pytest.mark.parametrize("way", [stop_and_start, restart, change_size, recover])
async def test_a_set_up_is_followed_again_after_an_interruption(
    way: Way, pat: SignIn, create: Create, until: Until
) -> None:
    row = await half_installed(pat, create, until)
    again = await way(row, until)
    assert (again.installation_completed, again.install_percent, again.install_error) == (False, 74, "")
    assert again.status_message == "Installing Docker (74 %)"
    assert again.droplet_id == row.droplet_id
    await run_on(again, f'"${{DEVPOCKET_ROOT}}{SETUP_COMMAND}"')
    done = await until(row, lambda now: now.installation_completed)
    assert (done.phase, done.status_message) == (Phase.RUNNING, "Ready")


async def test_a_set_up_goes_on_after_hibernation(pat: SignIn, create: Create, until: Until) -> None:
    row = await half_installed(pat, create, until)
    again = await hibernate_and_start(row, until)
    assert again.droplet_id != row.droplet_id
    await until(row, lambda now: now.installation_completed)  # by the new machine's own first boot


async def test_a_machine_that_is_made_anew_is_set_up_anew(
    pat: SignIn, create: Create, cloud: LocalCloud, until: Until
) -> None:
    row = await running(pat, create, until)
    await until(row, lambda now: now.installation_completed)
    await asyncio.to_thread(cloud.ask, "POST", f"/_localcloud/droplets/{row.droplet_id}/vanish")
    await until(row, lambda now: now.phase == Phase.ERROR)
    await act(row, "recover")
    anew = await until(row, lambda now: now.phase == Phase.PROVISIONING)
    assert (anew.installation_completed, anew.install_percent, anew.install_message) == (False, 0, "")
    await until(row, lambda now: is_running(now) and now.installation_completed)


async def test_a_restored_disk_is_as_complete_as_it_says_itself(pat: SignIn, create: Create, until: Until) -> None:
    row = await half_installed(pat, create, until)
    await snapshot_of(row, until, name="half")
    await run_on(row, f'"${{DEVPOCKET_ROOT}}{SETUP_COMMAND}"')
    row = await until(row, lambda now: now.installation_completed)
    await restore(row, "half")
    half = await to_running(row, until)
    assert (half.installation_completed, half.status_message) == (False, "Installing Docker (74 %)")
    await run_on(row, f'"${{DEVPOCKET_ROOT}}{SETUP_COMMAND}"')
    await until(row, lambda now: now.installation_completed)


# --- Keys, and variables


class Phone:
    """A key of a user's own."""

    def __init__(self, name: str) -> None:
        self.key = asyncssh.generate_private_key("ssh-ed25519", comment=name)

    async def added_to(self, user: SignIn) -> Phone:
        line = self.key.export_public_key().decode().strip()
        self.row = await database_sync_to_async(ssh_key_add)(user=user.user, public_key=line, name=None)
        return self

    async def deleted(self) -> None:
        await database_sync_to_async(ssh_key_delete)(user=self.row.user, key_id=self.row.pk)

    async def is_let_in(self, row: Environment) -> bool:
        assert row.droplet_ip is not None
        try:
            async with asyncssh.connect(
                row.droplet_ip,
                settings.DROPLET_SSH_PORT,
                username="devpocket",
                client_keys=[self.key],
                known_hosts=([asyncssh.import_public_key(row.host_public_key)], [], []),
                config=None,
                agent_path=None,
            ):
                return True
        except asyncssh.PermissionDenied:
            return False


def knows_all(row: Environment) -> bool:
    told = (row.keys_told_at, row.variables_told_at)
    return told == (row.keys_changed_at, row.variables_changed_at) and row.next_step_at is None


async def set_variable(row: Environment, value: str) -> None:
    await database_sync_to_async(changes.environment_update)(
        environment_id=row.pk, owner_id=row.owner_id, merge={"TOKEN": value}
    )


async def variable(row: Environment) -> str:
    return await run_on(row, f'. "${{DEVPOCKET_ROOT}}{ENVIRONMENT_FILE}"; printf %s "$TOKEN"')


async def test_a_key_opens_a_running_machine_until_it_is_deleted(pat: SignIn, create: Create, until: Until) -> None:
    row = await running(pat, create, until)
    phone, tablet = await Phone("phone").added_to(pat), await Phone("tablet").added_to(pat)
    await until(row, lambda now: now.keys_changed_at is not None and knows_all(now))
    assert [await phone.is_let_in(row), await tablet.is_let_in(row)] == [True, True]
    await phone.deleted()
    await until(row, knows_all)
    assert [await phone.is_let_in(row), await tablet.is_let_in(row)] == [False, True]

    def take_over() -> None:
        with transaction.atomic():
            ssh_keys_drop(user=pat.user)

    await database_sync_to_async(take_over)()
    await until(row, knows_all)
    assert await tablet.is_let_in(row) is False
    assert await run_on(row, "echo still-ours") == "still-ours"


@pytest.mark.parametrize("action", ["stop", "hibernate"])
async def test_what_changes_while_a_machine_is_off_is_so_when_it_runs(
    action: str, pat: SignIn, create: Create, until: Until
) -> None:
    old = await Phone("old").added_to(pat)
    row = await running(pat, create, until)
    assert await old.is_let_in(row)
    await act(row, action)
    await until(row, is_stopped)
    await old.deleted()
    new = await Phone("new").added_to(pat)
    await set_variable(row, "new")
    await act(row, "start")
    again = await until(row, is_running)
    assert [await old.is_let_in(again), await new.is_let_in(again), await variable(again)] == [False, True, "new"]


async def test_a_restored_disk_is_told_what_it_does_not_know(pat: SignIn, create: Create, until: Until) -> None:
    old = await Phone("old").added_to(pat)
    row = await running(pat, create, until)
    await set_variable(row, "old")
    await until(row, knows_all)
    await snapshot_of(row, until, name="before")
    await old.deleted()
    new = await Phone("new").added_to(pat)
    await set_variable(row, "new")
    row = await until(row, knows_all)
    await restore(row, "before")
    again = await to_running(row, until)
    assert [await old.is_let_in(again), await new.is_let_in(again), await variable(again)] == [False, True, "new"]


async def test_what_changes_while_a_machine_comes_up_is_so_when_it_runs(
    pat: SignIn, create: Create, until: Until
) -> None:
    """Its user-data was made before."""
    old = await Phone("old").added_to(pat)
    row = await until(await database_sync_to_async(create)(pat), lambda now: now.droplet_id is not None)
    await old.deleted()
    await set_variable(row, "new")
    row = await until(row, is_running)
    assert [await old.is_let_in(row), await variable(row)] == [False, "new"]
