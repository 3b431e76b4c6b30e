"""What ends a terminal: its shell, its environment, its sign-in, a machine that isn't the right one (contract 9.4)."""

from __future__ import annotations

import asyncio

import asyncssh

from devpocket.testing.server import Server
from terminals.tests.homes import REFUSED, Home, act, claims_of, manage, refusal, settle, settled, shell_size
from terminals.tests.phone import Phone


async def test_the_end_of_the_shell_ends_the_session(server: Server, home: Home) -> None:
    async with Phone.in_use(server, home.environment_id, home.token, "session=brief") as phone:
        await phone.run("echo up-$((1+1))", "up-2")
        await phone.type("exit\r")
        assert await phone.until_closed() == (1000, "normal")
        assert (phone.frames[-1]["type"], phone.frames[-1]["code"]) == ("info", "session_ended")


async def test_a_killed_tmux_server_ends_the_session_and_the_next_one_works(server: Server, home: Home) -> None:
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run("echo up-$((1+1))", "up-2")
        await phone.type("kill -9 $(tmux display -p '#{pid}')\r")
        assert await phone.until_closed() == (1000, "normal")
        assert phone.frames[-1]["code"] == "session_ended"
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        await phone.run("echo new-$((1+1))", "new-2")


async def test_a_socket_opened_early_waits_for_the_machine(server: Server) -> None:
    home = await settle(server)
    async with Phone.at(server, home.environment_id, f"token={home.token}") as phone:
        welcome = await phone.greet()
        assert (welcome["ssh_connected"], welcome["stream"]) == (False, None)
        assert welcome["environment"]["pty_enabled"] is False
        assert welcome["environment"]["status"] == "creating"
        assert (await phone.until_type("info"))["code"] == "installing"
        await phone.type("lost")
        await phone.type("lost")
        await phone.send(type="resize", cols=66, rows=22)
        update = await phone.until(lambda frame: frame.get("status") == "running")
        assert {name: type(value) for name, value in update.items()} == {
            "type": str,
            "environment_id": str,
            "status": str,
            "compat_status": str,
            "message": str,
            "progress": int,
            "timestamp": str,
        }
        attached = await phone.until(lambda frame: frame.get("code") == "reattached")
        assert set(attached["stream"]) == {"id", "offset"}
        await shell_size(phone, 66, 22)
        await phone.run("echo up-$((1+1))", "up-2")
        assert [frame["code"] for frame in phone.frames if frame["type"] == "error"] == ["terminal_not_ready"]
        updates = [frame for frame in phone.frames if frame["type"] == "status_update"]
        assert updates[0]["compat_status"] == "creating"
        progress = [frame["progress"] for frame in updates]
        assert progress == sorted(progress)
        assert [frame["type"] for frame in phone.frames].count("welcome") == 1
    await act(server, home, "DELETE", f"/environments/{home.environment_id}")


async def test_stop_and_delete_close_the_terminal(server: Server) -> None:
    home = await settled(server)
    async with Phone.in_use(server, home.environment_id, home.token) as phone:
        assert await act(server, home, "POST", f"/environments/{home.environment_id}/stop") == 200
        assert await phone.until_closed() == (1008, "Environment not running")
        last = phone.frames[-1]
        assert (last["type"], last["status"], last["compat_status"]) == ("status_update", "stopping", "stopped")
    assert await refusal(server, home.environment_id, f"token={home.token}") == REFUSED["environment_not_running"]
    await asyncio.to_thread(server.wait_for, home.token, home.environment_id, "stopped")
    assert await act(server, home, "POST", f"/environments/{home.environment_id}/start") == 200
    async with Phone.at(server, home.environment_id, f"token={home.token}") as phone:
        await phone.greet()
        if not phone.welcome["ssh_connected"]:
            await phone.until(lambda frame: frame.get("code") == "reattached")
        await phone.run("echo up-$((1+1))", "up-2")
        assert await act(server, home, "DELETE", f"/environments/{home.environment_id}") == 204
        assert await phone.until_closed() == (1008, "Environment not running")
        assert (phone.frames[-1]["type"], phone.frames[-1]["status"]) == ("status_update", "terminated")
    assert await refusal(server, home.environment_id, f"token={home.token}") == REFUSED["environment_not_found"]


async def test_logout_closes_the_socket(server: Server, home: Home) -> None:
    def log_in() -> str:
        body = {"username_or_email": claims_of(home.token)["username"], "password": "Correct-Horse-7"}
        return str(server.ask("POST", "/auth/login", body).json()["access_token"])

    token = await asyncio.to_thread(log_in)
    async with Phone.in_use(server, home.environment_id, token) as phone:
        assert await act(server, home, "POST", "/auth/logout", token) in (200, 204)
        assert await phone.until_closed() == (1008, "Session revoked")
        assert (phone.frames[-1]["type"], phone.frames[-1]["code"]) == ("error", "session_revoked")
    assert await refusal(server, home.environment_id, f"token={token}") == REFUSED["authentication_failed"]
    async with Phone.in_use(server, home.environment_id, home.token):
        pass  # the user's other sign-in is as it was


async def test_a_machine_with_another_host_key_is_not_spoken_to(server: Server) -> None:
    home = await settled(server)
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    row = f"Environment.objects.filter(pk={home.environment_id!r})"
    await asyncio.to_thread(manage, server, f"assert {row}.update(host_public_key={other!r}) == 1")
    async with Phone.at(server, home.environment_id, f"token={home.token}") as phone:
        assert await phone.until_closed() == (1011, "internal error")
        assert (phone.frames[-1]["type"], phone.frames[-1]["code"]) == ("error", "ssh_failed")
        assert "output" not in {frame["type"] for frame in phone.frames}
    events = f"EnvironmentEvent.objects.filter(environment_id={home.environment_id!r}, kind='host_key_mismatch')"
    await asyncio.to_thread(manage, server, f"assert {events}.count() == 1")
    await act(server, home, "DELETE", f"/environments/{home.environment_id}")
