"""The logs' WebSocket: the real consumer on the real database and channel layer, on a machine with a real shell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings as django_settings

from accounts.services import SignIn, session_logout
from environments import connections, log_follower
from environments.lifecycle import Phase
from environments.log_follower import LogFollowers
from environments.models import Environment
from environments.records import event_record
from environments.tests.sshd import Machine, Process, eventually
from environments.tests.test_logs_follower import run_on
from terminals import log_consumer, slots
from terminals.tests.consumer.served import WAIT_S, Frame, Socket, act, change
from terminals.tests.consumer.test_activity import last_activity

pytestmark = pytest.mark.django_db(transaction=True)

INSTALLED = (
    ("var/log/cloud-init-output.log", "2026-01-01 10:00:00,000 - begun\n"),
    ("var/lib/devpocket/progress", "2026-01-01T10:00:01Z 30 core_tools Tools\n"),
    ("var/log/devpocket/install.log", "2026-01-01T10:00:02Z [core_tools] Reading package lists\n"),
    ("var/log/devpocket/app.log", "2026-01-01T10:00:03Z WARN low\n"),
)
LINES = ["begun", "Tools (core_tools, 30 %)", "Reading package lists", "WARN low"]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    for name, text in INSTALLED:
        write(tmp_path / name, text)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
async def box(machine: Machine, disk: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    """The machine; afterwards nobody reads it any more."""
    followers = LogFollowers()
    monkeypatch.setattr(log_consumer, "followers", followers)
    for name, value in (("BUSY_EVERY_S", 0.02), ("READ_EVERY_S", 0.02), ("BACK_OFF_S", (0.02,))):
        monkeypatch.setattr(log_follower, name, value)
    machine.serve = partial(run_on, disk)
    async with connections.lifespan():
        yield machine
        assert len(followers) == 0
        await eventually(lambda: machine.open_channels == 0)


@pytest.fixture
def at(box: Machine, layer: Any, home: Environment, ann: SignIn) -> Iterator[Callable[..., Any]]:
    """at(): Ann's socket, served. Afterwards none of her slots may still be taken."""
    yield lambda query="", **options: LogsSocket(home, ann.tokens.access, query, **options).served()
    everybody = range(django_settings.WS_CONNECTIONS_PER_USER)
    assert None not in [slots.slot_take(str(ann.user.pk), f"probe-{number}") for number in everybody]


class LogsSocket(Socket):
    """A socket at the logs' address."""

    def __init__(self, home: Environment, token: str, query: str = "", *, slash: str = "", **options: Any) -> None:
        super().__init__(home.pk, token, query, **options)
        self.scope["path"] = f"/api/v1/ws/logs/{home.pk}{slash}"

    def go_on(self) -> None:
        """After stall(): read again."""
        self._flowing.set()

    def say_raw(self, text: str) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "text": text})


async def nudge(home: Environment) -> None:
    await get_channel_layer().group_send(f"environment.{home.pk}", {"type": "environment.changed"})


def told(socket: Socket, kind: str = "") -> list[Frame]:
    """Lines, or the frames of one type."""
    kinds = {kind} if kind else {"log", "installation_log"}
    return [frame for frame in socket.sent if frame["type"] in kinds]


def texts(socket: Socket) -> list[str]:
    return [frame.get("data") or frame["message"] for frame in told(socket)]


# --- What is told, in which order


@pytest.mark.parametrize("slash", ["", "/"])
async def test_welcome_history_complete_and_then_what_comes(at: Any, home: Environment, disk: Path, slash: str) -> None:
    async with at(slash=slash) as socket:
        await socket.until_sent(type="installation_complete")
        welcome, *lines, complete = socket.sent
        assert {key: value for key, value in welcome["environment"].items() if key != "id"} == {
            "name": "Home",
            "template": "ubuntu",
            "status": "running",
            "phase": "running",
        }
        assert (welcome["type"], welcome["environment"]["id"]) == ("welcome", str(home.pk))
        assert [(line["type"], line["source"]) for line in lines] == [
            ("installation_log", "cloud-init"),
            ("installation_log", "devpocket"),
            ("installation_log", "install"),
            ("log", "application"),
        ]
        assert texts(socket) == LINES
        assert [(line["phase"], line["progress"]) for line in lines[:3]] == [
            ("system_setup", 0),
            ("core_tools", 30),
            ("core_tools", 30),
        ]
        assert (lines[2]["timestamp"], lines[3]["level"]) == ("2026-01-01T10:00:02Z", "WARN")
        assert (complete["environment_id"], complete["status"]) == (str(home.pk), "running")
        write(disk / "var/log/devpocket/app.log", "next\n")
        await socket.until_sent(type="log", message="next")
        assert texts(socket) == [*LINES, "next"]
        socket.say(type="ping")
        await socket.until_sent(type="pong")


async def test_without_following_it_ends_with_the_history(at: Any, home: Environment) -> None:
    async with at("follow=false") as socket:
        assert await socket.until_closed() == (1000, "normal")
        assert texts(socket) == LINES
        assert socket.types[-1] == "installation_complete"
        await socket.until_ended()


async def test_without_following_and_with_nothing_to_tell(at: Any, home: Environment, box: Machine) -> None:
    box.session_limit = 0
    await change(home, installation_completed=False, install_error="The set-up isn't complete: x")
    async with at("follow=false&lines=0") as socket:
        assert await socket.until_closed() == (1000, "normal")
        assert socket.types == ["welcome", "installation_status", "installation_error"]


@pytest.mark.parametrize(
    ("query", "count"),
    [("lines=2", 2), ("lines=0", 0), ("lines=-7", 0), ("lines=99999", 4), ("lines=many", 4), ("lines=", 4), ("", 4)],
)
async def test_as_much_history_as_is_wanted(at: Any, query: str, count: int) -> None:
    async with at(f"follow=false&{query}") as socket:
        await socket.until_closed()
        assert texts(socket) == LINES[len(LINES) - count :]


async def test_no_line_twice_or_lost_between_history_and_what_comes(at: Any, disk: Path) -> None:
    """While lines are being written all the time."""
    app = disk / "var/log/devpocket/app.log"

    async def log() -> None:
        for number in range(400):
            write(app, f"line {number}\n")
            await asyncio.sleep(0.003)

    async with AsyncExitStack() as stack:
        writing = asyncio.create_task(log())
        sockets = []
        for _ in range(6):
            sockets.append(await stack.enter_async_context(at("lines=1000")))
            await asyncio.sleep(0.1)
        assert not writing.done()
        await writing
        for socket in sockets:
            await socket.until_sent(message="line 399")
            assert texts(socket) == [*LINES, *(f"line {number}" for number in range(400))]


async def test_a_set_up_from_its_first_second(at: Any, home: Environment, box: Machine, disk: Path) -> None:
    for name, _ in INSTALLED:
        (disk / name).unlink()
    box.session_limit = 0  # sshd doesn't answer yet
    await change(home, phase=Phase.PROVISIONING, droplet_id=1, installation_completed=False, status_message="Making")
    async with at() as socket:
        status = await socket.until_sent(type="installation_status")
        assert (status["status"], status["message"], status["progress"]) == ("provisioning", "Making", 0)
        await socket.until_sent(type="status_update", status="provisioning", compat_status="creating")
        await change(home, phase=Phase.INSTALLING)
        await nudge(home)
        await socket.until_sent(type="installation_status", status="installing")
        box.session_limit = None
        for name, text in INSTALLED[:3]:
            write(disk / name, text)
        await socket.until_sent(data="Reading package lists")
        # The row is a little behind what was read, and the progress doesn't fall for it.
        await change(home, install_percent=20, install_phase="user_setup", status_message="Account (20 %)")
        await nudge(home)
        assert (await socket.until_sent(type="installation_status", message="Account (20 %)"))["progress"] == 30
        box.break_connections()
        write(disk / "var/lib/devpocket/progress", "2026-01-01T10:00:04Z 100 completion Set-up complete\n")
        await socket.until_sent(progress=100)
        await change(home, phase=Phase.CONFIGURING, install_percent=100, installation_completed=True)
        await nudge(home)
        await socket.until_sent(type="installation_status", status="configuring")
        await change(home, phase=Phase.RUNNING)
        for _ in range(3):
            await nudge(home)
            await socket.until_sent(type="installation_complete")
        await socket.until_sent(type="status_update", status="running")
        assert len(told(socket, "installation_complete")) == 1
        assert sorted(texts(socket)) == sorted([*LINES[:3], "Set-up complete (completion, 100 %)"])
        shown = [frame["progress"] for frame in socket.sent if "progress" in frame and frame["type"] != "status_update"]
        assert shown == sorted(shown)


async def test_the_end_of_a_set_up_is_told_after_its_last_lines(
    at: Any, home: Environment, box: Machine, disk: Path
) -> None:
    """The row may know of it before the machine is looked at again."""
    answers = asyncio.Event()
    answers.set()

    async def when_it_may(process: Process) -> None:
        await answers.wait()
        await run_on(disk, process)

    box.serve = when_it_may
    await change(home, installation_completed=False, install_percent=30)
    async with at() as socket:
        await socket.until_sent(type="installation_status")
        answers.clear()
        write(disk / "var/log/devpocket/install.log", "2026-01-01T10:00:05Z [completion] the very last\n")
        write(disk / "var/lib/devpocket/progress", "2026-01-01T10:00:06Z 100 completion Set-up complete\n")
        await change(home, installation_completed=True, install_percent=100)
        await nudge(home)
        await asyncio.sleep(0.3)
        assert not told(socket, "installation_complete")
        answers.set()
        await socket.until_sent(type="installation_complete")
        assert texts(socket)[-2:] == ["the very last", "Set-up complete (completion, 100 %)"]


async def test_a_set_up_that_fails(at: Any, home: Environment) -> None:
    await change(home, phase=Phase.INSTALLING, installation_completed=False)
    async with at() as socket:
        await socket.until_sent(type="installation_status", status="installing")
        await change(home, phase=Phase.ERROR, error_code="installing_failed", error_message="The set-up failed: x")
        for _ in range(3):
            await nudge(home)
            await socket.until_sent(type="installation_error")
        await socket.until_sent(type="status_update", status="error")
        [failed] = told(socket, "installation_error")
        assert (failed["code"], failed["error"]) == ("installing_failed", "The set-up failed: x")
        assert socket.code is None  # its logs are there to be read


async def test_a_machine_that_is_replaced_is_read_anew(at: Any, home: Environment, box: Machine) -> None:
    await change(home, droplet_id=1)
    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        await change(home, phase=Phase.CREATING, droplet_id=None, installation_completed=False)
        await nudge(home)
        await socket.until_sent(type="installation_status", status="creating")
        await change(home, phase=Phase.INSTALLING, droplet_id=2)
        await nudge(home)
        await socket.until(lambda: texts(socket)[4:] == LINES)
        assert [line["progress"] for line in told(socket)[4:7]] == [0, 30, 30]


async def test_events_of_the_environment_are_told(at: Any, home: Environment) -> None:
    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        await database_sync_to_async(event_record)(home, kind="restart_requested")
        await nudge(home)
        line = await socket.until_sent(type="log", message="restart_requested")
        assert (line["source"], line["level"]) == ("devpocket", "INFO")


# --- Whatever happens


async def test_every_line_once_over_broken_connections(at: Any, box: Machine, disk: Path) -> None:
    async with at("lines=0") as socket:
        await socket.until_sent(type="installation_complete")
        for number in range(100):
            write(disk / "var/log/devpocket/install.log", f"2026-01-01T10:00:02Z [core_tools] line {number}\n")
            if number % 25 == 5:
                box.break_connections()
            await asyncio.sleep(0.005)
        await socket.until_sent(data="line 99")
        assert texts(socket) == [f"line {number}" for number in range(100)]


async def test_two_screens_are_one_reader(at: Any, box: Machine, disk: Path) -> None:
    async with at() as first, at() as second:
        for socket in (first, second):
            await socket.until_sent(type="installation_complete")
        assert len(log_consumer.followers) == 1
        write(disk / "var/log/devpocket/app.log", "both\n")
        for socket in (first, second):
            await socket.until_sent(message="both")
            assert texts(socket) == [*LINES, "both"]
        assert len(box.logins) == 1


async def test_a_client_that_reads_slowly_is_told_what_it_missed(
    at: Any, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_follower, "LINES_MAX", 1000)
    monkeypatch.setattr(log_follower, "PACE_LIMIT_S", 0.05)
    async with at() as slow:
        await slow.until_sent(type="installation_complete")
        slow.stall()
        write(disk / "var/log/devpocket/app.log", "".join(f"line {number}\n" for number in range(5000)))
        [follower] = log_consumer.followers._followers.values()
        await eventually(lambda: follower.buffer.end == 5004)
        slow.go_on()
        await slow.until_sent(message="line 4999")
        shown = texts(slow)[4:]
        [gap] = [text for text in shown if text.startswith("Left out: ")]
        missed = int(gap.split()[2].replace(",", ""))
        assert missed > 3000
        assert missed + len(shown) - 1 == 5000
        assert shown[-1000:] == [f"line {number}" for number in range(4000, 5000)]


async def test_only_pings_are_understood(at: Any) -> None:
    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        for frame in ({"type": "input", "data": "ls\r"}, {"type": "resize", "cols": 9, "rows": 9}, {"type": "x"}, {}):
            socket.sent.clear()
            socket.say(**frame)
            await socket.until_sent(type="error", code="unknown_type")
        socket.say_raw("no JSON")
        await socket.until_sent(type="error", code="invalid_message")
        socket.say(type="ping")
        await socket.until_sent(type="pong")


async def test_a_machine_that_hangs_delays_the_history_and_not_the_welcome(
    at: Any, box: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = box.serve
    answers = asyncio.Event()

    async def serve(process: Process) -> None:
        await answers.wait()
        await shell(process)

    box.serve = serve
    monkeypatch.setattr(log_follower, "FIRST_LIMIT_S", 0.3)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        socket.say(type="ping")
        await socket.until_sent(type="pong")
        assert told(socket) == []
        await socket.until_sent(type="installation_complete")  # it isn't waited for any longer
        answers.set()
        await socket.until(lambda: texts(socket) == LINES)


# --- Who may, and for how long


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase != Phase.TERMINATED])
async def test_it_works_in_every_phase(at: Any, home: Environment, phase: Phase) -> None:
    await change(home, phase=phase)
    async with at("follow=false") as socket:
        assert await socket.until_closed() == (1000, "normal")
        assert socket.sent[0]["environment"]["phase"] == phase
        assert bool(texts(socket)) == (phase in log_follower.HAS_LOGS)


async def test_what_is_deleted_has_none(at: Any, home: Environment) -> None:
    await change(home, phase=Phase.TERMINATED)
    async with at() as socket:
        assert await socket.until_closed() == (1008, "Environment not found")
        assert [frame["code"] for frame in socket.sent] == ["environment_not_found"]


async def test_deleting_ends_it(at: Any, home: Environment) -> None:
    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        await act(home, "stop")
        await socket.until_sent(type="status_update", status="stopping")
        assert socket.code is None
        await act(home, "delete")
        assert await socket.until_closed() == (1008, "Environment not running")
        assert (socket.sent[-1]["type"], socket.sent[-1]["status"]) == ("status_update", "terminated")


async def test_deleted_between_the_checks(at: Any, home: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    slot_take = slots.slot_take

    def slowly(*arguments: Any) -> Any:
        Environment.objects.filter(pk=home.pk).update(phase=Phase.TERMINATED)
        return slot_take(*arguments)

    monkeypatch.setattr(slots, "slot_take", slowly)
    async with at() as socket:
        assert await socket.until_closed() == (1008, "Environment not running")
        assert socket.types == ["error"]


async def test_only_its_owner_may(at: Any, home: Environment, ben: SignIn) -> None:
    for token, code, reason in (
        (ben.tokens.access, "environment_not_found", "Environment not found"),
        ("nonsense", "authentication_failed", "Authentication failed"),
        ("", "authentication_failed", "Authentication failed"),
    ):
        async with LogsSocket(home, token).served() as socket:
            assert await socket.until_closed() == (1008, reason)
            assert [frame["code"] for frame in socket.sent] == [code]


async def test_browsers_come_from_allowed_origins_only(at: Any, settings: Any) -> None:
    settings.WS_ALLOWED_ORIGINS = ["https://app.example.org"]
    async with at(headers=[(b"origin", b"https://evil.example")]) as socket:
        assert await socket.until_closed() == (1008, "Authentication failed")
    async with at(headers=[(b"origin", b"https://app.example.org")]) as socket:
        await socket.until_sent(type="welcome")


async def test_connections_are_counted_with_the_terminals(at: Any, ann: SignIn, settings: Any) -> None:
    settings.WS_CONNECTIONS_PER_USER = 2
    terminal = slots.slot_take(str(ann.user.pk), "a terminal")
    assert terminal is not None
    async with at() as first:
        await first.until_sent(type="welcome")
        async with at() as second:
            assert await second.until_closed() == (1008, "Too many connections")
    slots.slot_free(terminal, "a terminal")


@pytest.mark.parametrize("is_stalled", [False, True])
async def test_a_revoked_sign_in_ends_it(
    at: Any, ann: SignIn, is_stalled: bool, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terminals.sockets.FINISH_LIMIT_S", 0.1)
    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        if is_stalled:
            socket.stall()
            write(disk / "var/log/devpocket/app.log", "x\n" * 2000)
        await database_sync_to_async(session_logout)(session=ann.session)
        if is_stalled:
            async with asyncio.timeout(WAIT_S):
                await socket.until_ended()
            assert socket.code is None  # nothing could be told: the server hangs up
        else:
            assert await socket.until_closed() == (1008, "Session revoked")
            assert socket.sent[-1]["code"] == "session_revoked"


async def test_a_bug_closes_with_1011_and_says_nothing(at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_environment: object) -> str:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(log_consumer.log_frames, "welcome", broken)
    async with at() as socket:
        assert await socket.until_closed() == (1011, "internal error")
        assert [frame["code"] for frame in socket.sent] == ["internal_error"]
        assert "secret" not in str(socket.sent)


async def test_a_database_away_for_a_moment_ends_nothing(
    at: Any, home: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = []
    look = log_consumer.LogsConsumer.look

    def flaky(self: Any) -> Any:
        if not failures:
            failures.append(1)
            raise OSError("gone")
        return look(self)

    async with at() as socket:
        await socket.until_sent(type="installation_complete")
        monkeypatch.setattr(log_consumer.LogsConsumer, "look", flaky)
        await nudge(home)
        await eventually(lambda: bool(failures))
        await act(home, "stop")
        await socket.until_sent(type="status_update", status="stopping")


@pytest.mark.parametrize(("query", "counts"), [("", True), ("follow=false", False)])
async def test_watching_a_running_machine_is_use_of_it(at: Any, home: Environment, query: str, counts: bool) -> None:
    async with at(query) as socket:
        await socket.until_sent(type="installation_complete")
        if counts:
            async with asyncio.timeout(WAIT_S):
                while await last_activity(home) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        else:
            await socket.until_closed()
            await socket.until_ended()
            assert await last_activity(home) is None
