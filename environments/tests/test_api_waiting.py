"""ACTION_WAIT_SECONDS: an action's answer is held until it is done, and that holds up nobody else (contract T21)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.test import AsyncClient

from accounts.services import SignIn
from environments.lifecycle import Phase
from environments.models import Environment, Snapshot
from environments.tests.api import ENVIRONMENTS
from environments.tests.homes import home_of

pytestmark = pytest.mark.django_db(transaction=True)


class Phone:
    """Ann's, and her one environment."""

    def __init__(self, signed_in: SignIn, home: Environment) -> None:
        self.headers = {"authorization": f"Bearer {signed_in.tokens.access}"}
        self.home, self.path = home, f"{ENVIRONMENTS}/{home.pk}"

    async def ask(self, method: str, action: str = "", **more: Any) -> Any:
        return await getattr(AsyncClient(), method)(f"{self.path}{action}", headers=self.headers, **more)

    def begin(self, action: str) -> asyncio.Task[Any]:
        return asyncio.create_task(self.ask("post", action))

    async def see(self, phase: Phase) -> None:
        while (await self.ask("get")).json()["phase"] != phase:  # noqa: ASYNC110 -- a database's row
            await asyncio.sleep(0.01)

    async def becomes(self, phase: Phase) -> None:
        await database_sync_to_async(Environment.objects.filter(pk=self.home.pk).update)(phase=phase)


@pytest.fixture
def phone(ann: SignIn, settings: Any) -> Phone:
    settings.ACTION_WAIT_SECONDS = 20
    return Phone(ann, home_of(ann.user, droplet_id=1))


@pytest.mark.parametrize(
    ("action", "pending", "final", "status"),
    [
        ("/stop", Phase.STOPPING, Phase.STOPPED, "stopped"),
        ("/hibernate", Phase.STOPPING, Phase.STOPPED, "stopped"),
        ("/restart", Phase.RESTARTING, Phase.RUNNING, "running"),
        ("/restart", Phase.RESTARTING, Phase.ERROR, "error"),
    ],
)
async def test_the_answer_is_held_until_the_phase_is_final(
    action: str, pending: Phase, final: Phase, status: str, phone: Phone
) -> None:
    async with asyncio.timeout(10):
        answer = phone.begin(action)
        await phone.see(pending)
        assert not answer.done()
        await phone.becomes(final)
        body = (await answer).json()
    assert (body["status"], body["phase"]) == (status, final)


@pytest.mark.parametrize(
    ("before", "action", "pending"),
    [(Phase.STOPPED, "/start", Phase.STARTING), (Phase.ERROR, "/recover", Phase.CREATING)],
)
async def test_coming_up_is_waited_for_too(before: Phase, action: str, pending: Phase, phone: Phone) -> None:
    async with asyncio.timeout(10):
        await phone.becomes(before)
        answer = phone.begin(action)
        await phone.see(pending)
        await phone.becomes(Phase.PROVISIONING)  # on the way
        await phone.becomes(Phase.RUNNING)
        assert (await answer).json()["status"] == "running"


async def test_a_restore_and_a_resize_are_waited_for_too(phone: Phone, cloud: Any) -> None:
    make = database_sync_to_async(Snapshot.objects.create)
    snapshot = await make(environment=phone.home, name="Copy", region="nyc3", status="available")
    async with asyncio.timeout(10):
        answer = phone.begin(f"/snapshots/{snapshot.pk}/restore")
        await phone.see(Phase.RESTARTING)
        await phone.becomes(Phase.RUNNING)
        assert (await answer).json()["phase"] == "running"
        await database_sync_to_async(Environment.objects.update)(owner=phone.home.owner, size="s-small", disk_gb=10)
        body = {"size": "s-1vcpu-512mb-10gb"}
        resized = asyncio.create_task(phone.ask("post", "/resize", data=body, content_type="application/json"))
        await phone.see(Phase.RESIZING)
        await phone.becomes(Phase.RUNNING)
        assert (await resized).json()["phase"] == "running"


async def test_when_it_is_deleted_meanwhile_it_is_unknown(phone: Phone) -> None:
    async with asyncio.timeout(10):
        answer = phone.begin("/stop")
        await phone.see(Phase.STOPPING)
        assert (await phone.ask("delete")).status_code == 204
        assert (await answer).status_code == 404


async def test_after_the_time_it_says_how_far_it_is(phone: Phone, settings: Any) -> None:
    settings.ACTION_WAIT_SECONDS = 0.3
    async with asyncio.timeout(10):
        body = (await phone.ask("post", "/stop")).json()
    assert (body["status"], body["phase"], body["message"]) == ("stopped", "stopping", "The environment is stopping.")


async def test_what_has_no_effect_is_answered_at_once(phone: Phone) -> None:
    async with asyncio.timeout(5):
        assert (await phone.ask("post", "/start")).json()["phase"] == "running"
        assert (await phone.ask("post", "/recover")).status_code == 409
        made = await phone.ask("post", "/snapshot", content_type="application/json")
        assert made.status_code == 201  # the phase doesn't change


async def test_those_who_wait_hold_nobody_up(phone: Phone) -> None:
    """All of a test's requests share one thread: one that was held would hold up the rest."""
    async with asyncio.timeout(15):
        waiting = [phone.begin("/stop") for _ in range(20)]
        await phone.see(Phase.STOPPING)
        assert not any(answer.done() for answer in waiting)
        await phone.becomes(Phase.STOPPED)
        assert {(await answer).json()["phase"] for answer in waiting} == {"stopped"}
