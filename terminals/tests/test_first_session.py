"""The main job, whole: real processes, real HTTP and WebSocket, from signing up to a shell that is still there."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import websockets.exceptions
import websockets.sync.client

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from devpocket.testing.validator import checking_proxy

OUTPUT_LIMIT_S = 10


def type_and_read(server: Server, token: str, environment_id: str, typed: str, expected: str) -> dict[str, Any]:
    """Open the terminal, type, read until `expected` shows; the welcome."""
    address = f"{server.ws_url}/api/v1/ws/terminal/{environment_id}?token={token}"
    with websockets.sync.client.connect(address) as socket:
        welcome: dict[str, Any] = json.loads(socket.recv(OUTPUT_LIMIT_S))
        socket.send(json.dumps({"type": "input", "data": typed}))
        shown = ""
        while expected not in shown:
            frame = json.loads(socket.recv(OUTPUT_LIMIT_S))
            shown += frame.get("data", "")
    return welcome


def test_a_first_session_and_a_second_look(localcloud: LocalCloud, tmp_path: Path) -> None:
    with (
        checking_proxy(localcloud.url, tmp_path) as proxy,
        Server.start(proxy.url, tmp_path) as server,
    ):
        token = server.sign_up("newcomer")
        names = {template["id"] for template in server.ask("GET", "/templates/", token=token).json()}
        assert {"python", "nodejs", "ubuntu"} <= names

        began = time.monotonic()
        environment_id = server.create(
            token, "First", template_id="python", environment_variables={"GREETING": "hello"}
        )
        running = server.wait_for(token, environment_id, "running", "error")
        assert running["phase"] == "running", running["error"]
        assert time.monotonic() - began < 10

        welcome = type_and_read(server, token, environment_id, "KEPT=yes; echo $((6*7))=$GREETING\r", "42=hello")
        assert (welcome["type"], welcome["ssh_connected"]) == ("welcome", True)
        type_and_read(server, token, environment_id, "echo still:$KEPT\r", "still:yes")

        assert server.ask("POST", f"/environments/{environment_id}/stop", token=token).status_code == 200
        server.wait_for(token, environment_id, "stopped")
        assert server.ask("POST", f"/environments/{environment_id}/start", token=token).status_code == 200
        server.wait_for(token, environment_id, "running")
        assert server.ask("DELETE", f"/environments/{environment_id}", token=token).status_code == 204
        wait_until_gone(localcloud, environment_id)

        assert proxy.violations() == []
        assert server.process.stop() in (0, -signal.SIGTERM)  # uvicorn ends itself by the signal, once it is done
        assert token not in server.process.output()
        assert "Traceback" not in server.process.output()


@pytest.mark.timeout(100)  # what the killed process held is free when its lease ends, 30 s later at the most
def test_a_server_killed_while_a_machine_installs_finishes_it(tmp_path: Path) -> None:
    (tmp_path / "cloud").mkdir()
    with (
        LocalCloud.start(tmp_path / "cloud", "--install-seconds", "5") as localcloud,  # so that it is seen to
        Server.start(localcloud.url, tmp_path) as server,
    ):
        token = server.sign_up("survivor")
        environment_id = server.create(token, "Phoenix")
        server.wait_for(token, environment_id, "installing")
        server.process.kill()
        server.restart()
        running = server.wait_for(token, environment_id, "running", "error", limit_s=50)
        assert running["phase"] == "running", running["error"]
        droplets, volumes = localcloud.droplets(tag(environment_id)), localcloud.volumes(tag(environment_id))
        assert [droplet["id"] for droplet in droplets] == [running["droplet_id"]]
        assert [volume["id"] for volume in volumes] == [running["volume_id"]]
        server.ask("DELETE", f"/environments/{environment_id}", token=token)
        wait_until_gone(localcloud, environment_id)


def test_two_users_are_strangers(server: Server) -> None:
    mine, theirs = server.sign_up("mallory"), server.sign_up("norman")
    environment_id = server.create(mine, "Private")
    server.wait_for(mine, environment_id, "running")
    assert server.ask("GET", "/environments", token=theirs).json() == []
    assert server.ask("GET", f"/environments/{environment_id}", token=theirs).status_code == 404
    address = f"{server.ws_url}/api/v1/ws/terminal/{environment_id}?token={theirs}"
    with websockets.sync.client.connect(address) as socket:
        frames = [json.loads(socket.recv(OUTPUT_LIMIT_S))]
        with pytest.raises(websockets.exceptions.ConnectionClosedError):
            socket.recv(OUTPUT_LIMIT_S)
    assert [(frame["type"], frame["code"]) for frame in frames] == [("error", "environment_not_found")]
    assert (socket.close_code, socket.close_reason) == (1008, "Environment not found")
    server.ask("DELETE", f"/environments/{environment_id}", token=mine)


def tag(environment_id: str) -> str:
    return f"dp-env-{environment_id}"


def wait_until_gone(localcloud: LocalCloud, environment_id: str, *, limit_s: float = 40) -> None:
    give_up_at = time.monotonic() + limit_s
    while localcloud.droplets(tag(environment_id)) or localcloud.volumes(tag(environment_id)):
        assert time.monotonic() < give_up_at, "droplet or volume is still there"
        time.sleep(0.05)
