"""What is changed while a machine is there reaches it: variables, and the keys that may log in."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import timedelta
from threading import Thread

import pytest
from channels.db import database_sync_to_async
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import SSHKey
from accounts.selectors import authorized_keys
from accounts.services import SignIn
from accounts.ssh_keys import ssh_key_add
from environments.changes import environment_update, environments_keys_changed
from environments.cloud_init import APPLY_COMMAND, ENVIRONMENT_FILE, KEYS_FILE, authorized_keys_file
from environments.lifecycle import Phase
from environments.models import Environment
from environments.services import environment_create
from environments.steps import telling, up
from environments.steps.tools import ACTION_REPEAT_S, PATIENCE_MAX_S
from environments.tests.homes import home_of
from environments.tests.life import change
from environments.tests.sshd import Machine, Process
from environments.tests.stepping import Disk, look
from templates_catalog.importer import import_templates
from templates_catalog.models import Template

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "it's a $ecret `id` \\ and\nmore"
OWN_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann's phone 電話"


@pytest.fixture
def home(transactional_db: None, ann: SignIn, machine: Machine) -> Environment:
    return home_of(ann.user, machine, phase_changed_at=timezone.now())


@pytest.fixture
async def changed(home: Environment) -> Environment:
    """Both were changed."""

    def do() -> None:
        SSHKey.objects.create(user=home.owner, name="phone", public_key=OWN_KEY, fingerprint="f")
        environments_keys_changed(user_id=home.owner_id)
        environment_update(environment_id=home.pk, owner_id=home.owner_id, merge={"TOKEN": SECRET})

    await database_sync_to_async(do)()
    return home


def knows_all(row: Environment) -> bool:
    assert row.keys_changed_at is not None
    assert row.variables_changed_at is not None
    return (row.keys_told_at, row.variables_told_at) == (row.keys_changed_at, row.variables_changed_at)


async def test_what_is_new_is_written_and_then_known(changed: Environment, disk: Disk) -> None:
    row, next_look = await look(changed)
    assert (knows_all(row), next_look) == (True, None)
    keys = await database_sync_to_async(authorized_keys)(changed.owner_id)
    assert disk.at(KEYS_FILE).read_text() == authorized_keys_file(keys)
    assert OWN_KEY in disk.at(KEYS_FILE).read_text().splitlines()
    assert keys[0] in disk.at(KEYS_FILE).read_text().splitlines()  # the platform's own
    assert "TOKEN" in disk.at(ENVIRONMENT_FILE).read_text()
    assert stat.S_IMODE(disk.at(KEYS_FILE).stat().st_mode) == 0o644  # sshd reads it as the user


async def test_what_is_known_is_not_told_again(changed: Environment, machine: Machine) -> None:
    await look(changed)

    async def nothing(process: Process) -> None:
        raise AssertionError(process.command)

    machine.serve = nothing
    row, next_look = await look(changed)
    assert (knows_all(row), next_look) == (True, None)


async def test_a_change_while_another_is_told_is_told_too(changed: Environment, disk: Disk, machine: Machine) -> None:
    serve = machine.serve

    async def slow(process: Process) -> None:
        """It takes so long that meanwhile all keys are deleted."""
        machine.serve = serve
        await database_sync_to_async(drop)()
        await serve(process)

    def drop() -> None:
        SSHKey.objects.all().delete()
        environments_keys_changed(user_id=changed.owner_id)

    machine.serve = slow
    row, _ = await look(changed)
    assert row.keys_told_at != row.keys_changed_at
    row, _ = await look(changed)
    assert knows_all(row)
    assert OWN_KEY not in disk.at(KEYS_FILE).read_text()


async def test_a_machine_that_does_not_answer_is_tried_again_and_more_rarely(
    changed: Environment, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await change(changed, droplet_ip="127.0.0.250")  # where nobody is
    pauses: list[float] = []
    for minutes in (0, 10, 60 * 24):
        past = timezone.now() - timedelta(minutes=minutes)
        await change(changed, phase_changed_at=past, keys_changed_at=past, variables_changed_at=past)
        row, next_look = await look(changed)
        assert not knows_all(row)
        pauses.append(next_look or 0)
    assert pauses == [pytest.approx(2, abs=0.1), pytest.approx(120, abs=1), PATIENCE_MAX_S]
    await change(changed, droplet_ip="127.0.0.1")
    assert knows_all((await look(changed))[0])


async def test_a_machine_that_cannot_write_it_is_tried_again_and_no_secret_is_logged(
    changed: Environment, disk: Disk, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    program = disk.at(APPLY_COMMAND)
    program.chmod(0o644)
    row, next_look = await look(changed)
    assert not knows_all(row)
    assert next_look is not None
    assert next_look >= ACTION_REPEAT_S
    assert "machine_not_told" in caplog.text
    for told in (caplog.text, *capfd.readouterr()):
        assert "ecret" not in told
    program.chmod(0o755)
    assert knows_all((await look(changed))[0])


async def test_what_is_cut_off_is_not_put_in_place(
    changed: Environment, disk: Disk, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await look(changed)
    before = disk.at(KEYS_FILE).read_text()
    await change(changed, keys_changed_at=timezone.now())
    cut_off = telling.File("authorized_keys", "keys", lambda row: "ssh-ed25519 AAAAC3")
    monkeypatch.setattr(telling, "FILES", (cut_off,))
    row, _ = await look(changed)
    assert not knows_all(row)
    assert disk.at(KEYS_FILE).read_text() == before


# --- Before anybody is let in


@pytest.mark.parametrize("phase", [Phase.CONFIGURING, Phase.STARTING, Phase.RESTARTING])
async def test_it_is_known_before_the_machine_runs(
    phase: Phase, changed: Environment, disk: Disk, machine: Machine
) -> None:
    serve, phases = machine.serve, set()

    async def watched(process: Process) -> None:
        if APPLY_COMMAND in (process.command or ""):
            phases.add((await database_sync_to_async(Environment.objects.get)(pk=changed.pk)).phase)
        await serve(process)

    machine.serve = watched
    await change(changed, phase=phase)
    row, _ = await look(changed, up.run_when_login_works)
    assert (row.phase, knows_all(row), phases) == (Phase.RUNNING, True, {phase})


async def test_a_machine_that_falls_silent_before_it_knows_does_not_run_yet(
    changed: Environment, disk: Disk, machine: Machine
) -> None:
    serve = machine.serve

    async def silent(process: Process) -> None:
        if APPLY_COMMAND in (process.command or ""):
            machine.break_connections()
        else:
            await serve(process)

    machine.serve = silent
    await change(changed, phase=Phase.CONFIGURING)
    row, next_look = await look(changed)
    assert (row.phase, next_look is None) == (Phase.CONFIGURING, False)
    machine.serve = serve
    row, _ = await look(changed)
    assert (row.phase, knows_all(row)) == (Phase.RUNNING, True)


async def test_a_full_disk_keeps_its_owner_out_for_no_longer(changed: Environment, disk: Disk) -> None:
    disk.at(APPLY_COMMAND).chmod(0o644)
    await change(changed, phase=Phase.CONFIGURING)
    row, _ = await look(changed)
    assert (row.phase, knows_all(row)) == (Phase.RUNNING, False)


# --- Whose rows are marked


@pytest.fixture
def rows(ann: SignIn, ben: SignIn, home: Environment) -> Callable[[str], Environment]:
    home_of(ann.user, name="off", phase=Phase.STOPPED)
    home_of(ann.user, name="new", phase=Phase.INSTALLING)
    home_of(ann.user, name="gone", phase=Phase.TERMINATED)
    home_of(ben.user, name="of another")
    return lambda name: Environment.objects.get(name=name)


def test_every_machine_of_the_user_is_marked_and_those_that_run_are_due(
    rows: Callable[[str], Environment], ann: SignIn
) -> None:
    environments_keys_changed(user_id=ann.user.pk)
    marked = {row.name for row in Environment.objects.exclude(keys_changed_at=None)}
    due = {row.name for row in Environment.objects.exclude(next_step_at=None)}
    assert (marked, due) == ({"Home", "off", "new"}, {"Home"})


def test_a_machine_that_is_being_created_meanwhile_is_not_missed(ann: SignIn) -> None:
    """Its user-data may be made before the key is there; so one of the two waits for the other."""
    import_templates()

    def add() -> None:
        try:
            ssh_key_add(user=ann.user, public_key=OWN_KEY, name=None)
        finally:
            connection.close()

    adding = Thread(target=add)
    with transaction.atomic():
        made = environment_create(
            owner_id=ann.user.pk,
            template=Template.objects.get(pk="ubuntu"),
            name="New",
            region="nyc3",
            size="s-1vcpu-1gb",
            image="ubuntu-24-04-x64",
            memory_mb=1024,
            vcpus=1,
            disk_gb=25,
            storage_size_gb=10,
        ).environment
        adding.start()
        adding.join(timeout=0.3)
        assert adding.is_alive()
    adding.join()
    made.refresh_from_db()
    assert made.keys_changed_at is not None
