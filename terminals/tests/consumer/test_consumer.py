"""What the WebSocket promises when the machine, the sign-in or the database misbehaves: the real consumer on the real
database and channel layer, on a machine that does what a test tells it to.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.core.cache import cache

from accounts.models import User
from accounts.services import SignIn, session_logout
from environments.models import Environment
from environments.tests.sshd import Machine, Process, eventually, flood
from terminals import consumers, environment_socket, limits, slots, socket_life, sockets, typing_socket
from terminals.hub import Hub
from terminals.tests.consumer.served import WAIT_S, act, change

pytestmark = pytest.mark.django_db(transaction=True)


async def nudge(home: Environment) -> None:
    await get_channel_layer().group_send(f"environment.{home.pk}", {"type": "environment.changed"})


async def test_a_shell(at: Any) -> None:
    async with at() as socket:
        socket.say(type="input", data="hello\n")
        await socket.until_sent(type="output", data="hello\n")
        assert socket.sent[0]["ssh_connected"] is True


async def test_a_slow_machine_is_attached_after_the_welcome(
    at: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "WELCOME_LIMIT_S", 0.05)
    machine.may_open.clear()
    async with at() as socket:
        welcome = await socket.until_sent(type="welcome")
        assert (welcome["ssh_connected"], welcome["environment"]["pty_enabled"]) == (False, False)
        socket.say(type="input", data="too early\n")
        socket.say(type="input", data="too early\n")
        socket.say(type="resize", cols=99, rows=9)
        socket.say(type="ping")
        await socket.until_sent(type="pong")
        machine.may_open.set()
        assert (await socket.until_sent(code="reattached"))["stream"]["offset"] == 0
        socket.say(type="input", data="size\n")
        await socket.until(lambda: "99 x 9" in socket.text)
        assert [frame["code"] for frame in socket.sent if frame["type"] == "error"] == ["terminal_not_ready"]
        assert machine.open_channels == 1
        assert len(machine.logins) == 1


async def test_the_welcome_comes_first_whatever_is_said_before(at: Any, machine: Machine) -> None:
    machine.may_open.clear()
    async with at() as socket:
        socket.say(type="ping")
        socket.say(type="dance")
        socket.say(type="input", data="early\n")
        await eventually(lambda: len(machine.connections) == 1)
        assert socket.sent == []
        machine.may_open.set()
        await socket.until(lambda: "early" in socket.text)
        assert socket.types[0] == "welcome"
        assert socket.types.count("welcome") == 1
        assert socket.types.index("pong") < socket.types.index("error")


@pytest.mark.parametrize("turns", range(0, 120, 7))
async def test_a_client_may_vanish_at_any_moment(
    at: Any, ann: SignIn, turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The fixtures look at what is left on the machine."""
    async with at() as socket:
        socket.say(type="input", data="hello\n")
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        socket.vanish()
        async with asyncio.timeout(WAIT_S):
            await socket.until_ended()
    assert await database_sync_to_async(cache.get)(f"ws-slot:{ann.user.pk}:0") is None
    assert "failed" not in caplog.text


async def test_a_consumer_that_is_cancelled_cleans_up(at: Any, machine: Machine, hub: Hub, ann: SignIn) -> None:
    """Which is what uvicorn does to it when it stops."""
    async with at() as socket:
        await socket.until_sent(type="welcome")
        socket.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await socket.task
        assert await database_sync_to_async(cache.get)(f"ws-slot:{ann.user.pk}:0") is None
        assert len(hub._away) == 1
        socket.task = asyncio.create_task(asyncio.sleep(0))


async def test_a_lost_connection_is_attached_again_on_the_same_socket(at: Any, machine: Machine) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        socket.say(type="resize", cols=90, rows=30)
        machine.break_connections()
        again = await socket.until_sent(code="reattached")
        assert again["stream"]["id"] != socket.sent[0]["stream"]["id"]
        socket.say(type="input", data="size\n")
        await socket.until(lambda: "90 x 30" in socket.text)


async def test_a_machine_that_reboots_by_itself_is_waited_for(
    at: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        monkeypatch.setattr(consumers, "ATTACH_LIMIT_S", 0)
        machine.session_limit = 0
        machine.break_connections()
        await socket.until_sent(code="machine_away")
        assert socket.types.count("error") == 0
        machine.session_limit = None
        await socket.until_sent(code="reattached")
        socket.say(type="input", data="hello\n")
        await socket.until(lambda: "hello" in socket.text)
        assert [frame.get("code") for frame in socket.sent if frame["type"] == "info"] == ["machine_away", "reattached"]


async def test_a_machine_that_keeps_hanging_up_is_given_up(at: Any, machine: Machine) -> None:
    async def hang_up(process: Process) -> None:
        process.stdout.write(b"bye ")

    machine.serve = hang_up
    async with at() as socket:
        assert await socket.until_closed() == (1011, "internal error")
        assert socket.sent[-1]["code"] == "ssh_failed"
        assert socket.types.count("info") <= consumers.LOSSES_MAX


async def test_an_unreachable_machine_is_given_up(
    at: Any, home: Environment, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "ATTACH_LIMIT_S", 0.2)
    monkeypatch.setattr(sockets, "WELCOME_LIMIT_S", 0.05)
    settings.DROPLET_SSH_PORT = 1
    async with at() as socket:
        assert await socket.until_closed() == (1011, "internal error")
        assert socket.types[0] == "welcome"
        assert socket.sent[-1]["code"] == "ssh_failed"


async def test_a_channel_layer_away_for_a_moment_ends_no_terminal(
    at: Any, ann: SignIn, layer: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LISTEN_RETRY_S", 0.01)
    receive, failures = layer.receive, []

    async def flaky(channel: str) -> Any:
        if len(failures) < 3:
            failures.append(channel)
            raise ConnectionError("gone")
        return await receive(channel)

    monkeypatch.setattr(layer, "receive", flaky)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        await eventually(lambda: len(failures) == 3)
        socket.say(type="input", data="hello\n")
        await socket.until(lambda: "hello" in socket.text)
        await database_sync_to_async(session_logout)(session=ann.session)
        assert await socket.until_closed() == (1008, "Session revoked")


async def test_a_bug_closes_with_1011_and_says_nothing(at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_access: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(environment_socket, "find_target", broken)
    async with at() as socket:
        assert await socket.until_closed() == (1011, "internal error")
        assert socket.sent[-1]["code"] == "internal_error"
        assert "secret" not in json.dumps(socket.sent)


async def test_a_bug_in_what_a_message_does_closes_with_1011(at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_raw: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(typing_socket, "parse_frame", broken)
    async with at() as socket:
        socket.say(type="ping")
        assert await socket.until_closed() == (1011, "internal error")
        assert "secret" not in json.dumps(socket.sent)


async def test_a_database_away_for_a_moment_ends_no_terminal(
    at: Any, home: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = []
    look = environment_socket.look_again

    def flaky(access: Any) -> Any:
        if len(failures) == 1:
            failures.append(2)
            raise OSError("gone")
        return look(access)

    async with at() as socket:
        await socket.until_sent(type="welcome")
        monkeypatch.setattr(environment_socket, "look_again", flaky)
        failures.append(1)
        await get_channel_layer().group_send(f"environment.{home.pk}", {"type": "environment.changed"})
        await eventually(lambda: len(failures) == 2)
        socket.say(type="input", data="hello\n")
        await socket.until_sent(type="output", data="hello\n")
        await act(home, "stop")
        assert await socket.until_closed() == (1008, "Environment not running")


async def test_a_stop_between_the_look_and_the_watch_is_noticed(at: Any, home: Environment, machine: Machine) -> None:
    machine.may_open.clear()
    async with at() as socket:
        await eventually(lambda: len(machine.connections) == 1)  # it is being attached
        await act(home, "stop")
        machine.may_open.set()
        assert await socket.until_closed() == (1008, "Environment not running")
        assert (socket.types[0], socket.sent[-1]["status"]) == ("welcome", "stopping")


async def test_an_environment_that_fails_while_it_is_waited_for(at: Any, home: Environment) -> None:
    await change(home, phase="installing")
    async with at() as socket:
        await socket.until_sent(code="installing")
        await change(home, phase="error")
        await get_channel_layer().group_send(f"environment.{home.pk}", {"type": "environment.changed"})
        assert await socket.until_closed() == (1008, "Environment not running")
        assert (socket.sent[-1]["status"], socket.sent[-1]["compat_status"]) == ("error", "error")


async def test_a_restart_is_waited_out_on_the_same_socket(at: Any, home: Environment, machine: Machine) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        await change(home, phase="restarting")
        await nudge(home)
        await socket.until_sent(type="status_update", status="restarting")
        machine.break_connections()
        await change(home, phase="running")
        await nudge(home)
        await socket.until_sent(code="reattached")
        socket.say(type="input", data="hello\n")
        await socket.until_sent(type="output", data="hello\n")


async def test_a_set_up_behind_the_terminal_is_told_again_and_again_and_its_end_at_once(
    at: Any, home: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LOOK_OFTEN_S", 0.05)
    await change(home, installation_completed=False, progress=100, status_message="Installing Docker (74 %)")
    async with at() as socket:
        welcome = await socket.until_sent(type="welcome")
        assert (welcome["ssh_connected"], welcome["environment"]["installation_completed"]) == (True, False)
        await socket.until(lambda: socket.types.count("status_update") >= 3)  # nobody has nudged it
        update = await socket.until_sent(type="status_update")
        assert (update["status"], update["compat_status"], update["progress"]) == ("running", "running", 100)
        assert update["message"] == "Installing Docker (74 %)"
        await change(home, installation_completed=True, status_message="Ready")
        await nudge(home)
        await socket.until_sent(type="status_update", message="Ready")
        for _ in range(3):
            await nudge(home)
        socket.say(type="input", data="hello\n")
        await socket.until_sent(type="output", data="hello\n")
        assert [frame.get("message") for frame in socket.sent].count("Ready") == 1


async def test_a_set_up_that_lacks_something_is_told_once(at: Any, home: Environment) -> None:
    await change(home, installation_completed=False, status_message="Installing Docker (74 %)")
    async with at() as socket:
        await socket.until_sent(type="welcome")
        told = "The set-up isn't complete: Not installed: docker"
        await change(home, install_error=told, status_message=told)
        await nudge(home)
        await socket.until_sent(type="status_update", message=told)
        await nudge(home)
        socket.say(type="input", data="hello\n")
        await socket.until_sent(type="output", data="hello\n")
        assert [frame.get("message") for frame in socket.sent].count(told) == 1


@pytest.mark.parametrize("lost", [False, True], ids=["nudged", "nudge lost"])
async def test_a_revoked_sign_in_is_cut_off_even_while_nothing_is_read(
    at: Any, ann: SignIn, machine: Machine, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    monkeypatch.setattr(socket_life, "FINISH_LIMIT_S", 0.1)
    if lost:
        monkeypatch.setattr(slots, "RENEW_S", 0.1)
        monkeypatch.setattr(consumers.TerminalConsumer, "session_revoked", lambda socket, event: None)
    machine.serve = flood
    async with at() as socket:
        await socket.until_sent(type="output")
        socket.stall()
        await database_sync_to_async(session_logout)(session=ann.session)
        async with asyncio.timeout(WAIT_S):
            await socket.until_ended()
        assert socket.code is None  # nothing could be told: the server hangs up


async def test_a_revoked_sign_in_is_told(at: Any, ann: SignIn) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        await database_sync_to_async(session_logout)(session=ann.session)
        assert await socket.until_closed() == (1008, "Session revoked")
        assert socket.sent[-1]["code"] == "session_revoked"


async def test_a_user_who_is_disabled_is_cut_off(at: Any, ann: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "RENEW_S", 0.05)
    async with at() as socket:
        await socket.until_sent(type="welcome")
        await database_sync_to_async(User.objects.filter(pk=ann.user.pk).update)(is_active=False)
        assert await socket.until_closed() == (1008, "Session revoked")
    async with at() as socket:
        assert await socket.until_closed() == (1008, "Authentication failed")


async def test_a_client_that_reads_nothing_for_long_is_let_go(
    at: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_life, "SEND_LIMIT_S", 0.1)
    machine.serve = flood
    async with at() as socket:
        await socket.until_sent(type="output")
        socket.stall()
        async with asyncio.timeout(WAIT_S):
            await socket.until_ended()


async def test_a_client_that_reads_nothing_is_not_read_either(at: Any) -> None:
    async with at() as socket:
        await socket.until_sent(type="welcome")
        before = socket.asked_for
        socket.stall()
        for _ in range(1000):
            socket.say(type="ping")
        for _ in range(100):
            await asyncio.sleep(0)
        assert socket.asked_for <= before + 1


async def test_input_that_the_machine_does_not_take_stays_in_the_client(
    at: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(process: Process) -> None:
        process.channel.pause_reading()
        await process.wait_closed()

    monkeypatch.setattr(typing_socket, "INPUT_LIMIT_S", 0.3)
    monkeypatch.setattr(limits, "INPUT_BYTES_BURST", 1 << 30)
    machine.serve = deaf
    async with at() as socket:
        await socket.until_sent(type="welcome")
        for _ in range(200):
            socket.say(type="input", data="x" * 60_000)
        assert await socket.until_closed() == (1008, "Rate limit exceeded")
        assert socket.asked_for < 100  # SSH's windows are 2 MiB in this server, and ours is 64 KiB
