"""What a phone, a browser and an operator do with the server that was set up, over https and through the proxy.

    check.py DOMAIN OUTBOX first|watch|again

`first`: from signing up to a shell that says hello. `watch`: ask until SIGTERM, count what was not answered as it
should be. `again`: the same user comes back to the same shell. Run with the installed version's packages.
"""

from __future__ import annotations

import json
import re
import signal
import ssl
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import requests
from websockets.sync.client import connect

CERTIFICATE = "/etc/devpocket/tls/fullchain.pem"
STATE = Path("/root/trial/state.json")
USER = {"username": "phone", "email": "phone@example.org", "password": "Correct-Horse-7"}
OPERATOR = {"username": "operator", "password": "Trial-Operator-7"}


class Server:
    def __init__(self, domain: str) -> None:
        self.url, self.domain, self.token = f"https://{domain}", domain, ""
        self.session = requests.Session()
        self.session.verify = CERTIFICATE

    def ask(self, method: str, path: str, status: int, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = self.session.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=20)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def say(self, environment_id: str, text: str, answer: str) -> str:
        """Type a line into the environment's terminal and wait for the answer; all that was printed till then."""
        address = f"{self.url.replace('http', 'ws', 1)}/api/v1/ws/terminal/{environment_id}"
        headers, printed = {"Authorization": f"Bearer {self.token}"}, ""
        trust = ssl.create_default_context(cafile=CERTIFICATE)
        with connect(address, ssl=trust, additional_headers=headers, open_timeout=20) as socket:
            welcome = json.loads(socket.recv(20))
            assert welcome["type"] == "welcome", welcome
            assert welcome["ssh_connected"], welcome
            socket.send(json.dumps({"type": "input", "data": f"{text}\r"}))
            while answer not in printed:
                frame = json.loads(socket.recv(20))
                printed += frame["data"] if frame["type"] == "output" else ""
        return printed

    def wait(self, environment_id: str) -> dict[str, Any]:
        give_up_at = time.monotonic() + 120
        while True:
            shown: dict[str, Any] = self.ask("GET", f"/environments/{environment_id}", 200)
            if shown["phase"] == "running" and shown["installation_completed"]:
                return shown
            assert shown["phase"] != "error", shown["error"]
            assert time.monotonic() < give_up_at, shown
            time.sleep(1)


def tell(text: str) -> None:
    print(f"  ok: {text}", flush=True)  # noqa: T201


def newest_code(outbox: Path) -> str:
    give_up_at = time.monotonic() + 30
    while True:
        for file in sorted(outbox.glob("*"), key=lambda file: file.stat().st_mtime, reverse=True):
            if found := re.search(r"^\s*(\d{6})\s*$", file.read_text(), re.MULTILINE):
                return found[1]
        assert time.monotonic() < give_up_at, "no mail with a code"
        time.sleep(0.5)


def first(server: Server, outbox: Path) -> None:
    server.token = server.ask("POST", "/auth/register", 201, USER)["access_token"]
    tell("signed up over https")
    server.ask("POST", "/auth/verify-email", 200, {"token": newest_code(outbox)})
    assert server.ask("GET", "/auth/me", 200)["is_verified"]
    tell("verified the address with the code of the mail")
    made = server.ask("POST", "/environments", 201, {"name": "first", "template_id": "ubuntu"})
    shown = server.wait(made["id"])
    tell(f"created an environment: {shown['phase']} at {shown['droplet_ip']}")
    server.say(made["id"], "MARK=kept; echo hel''lo", "hello")
    tell("the terminal over wss says hello")
    STATE.write_text(json.dumps({"id": made["id"]}))
    look_around(server)
    open_the_web_client(server)
    sign_in_to_admin(server)


def look_around(server: Server) -> None:
    get = server.session.get
    answer = get(f"http://{server.domain}/health", allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{server.url}/health")
    answer = get(f"{server.url}/metrics", timeout=10)
    assert answer.status_code == 404
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    answer = get(f"{server.url}/health", timeout=10)
    assert answer.headers["Strict-Transport-Security"].count("max-age") == 1, answer.headers
    for size, whose in ((1_500_000, "the server's"), (3_000_000, "the proxy's")):
        answer = server.session.post(f"{server.url}/api/v1/auth/login", json={"username": "x" * size}, timeout=20)
        assert answer.status_code == 413, (whose, answer.status_code)
        assert answer.json()["detail"], whose
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    tell("http leads to https; /metrics is not there; a body too large gets 413 in the API's form")


def open_the_web_client(server: Server) -> None:
    page = server.session.get(f"{server.url}/", timeout=10)
    assert page.status_code == 200, page.text
    script = re.search(r'src="(/static/web/assets/[^"]+\.js)"', page.text)
    assert script is not None, page.text
    answer = server.session.get(server.url + script[1], headers={"Accept-Encoding": "gzip"}, timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]
    tell("the web client's page and its script come through the proxy, compressed")
    ours = {"X-DevPocket-Web": "1", "Origin": server.url}
    body = {"username_or_email": USER["username"], "password": USER["password"]}
    signed_in = server.session.post(f"{server.url}/api/v1/web/login", json=body, headers=ours, timeout=20)
    assert signed_in.status_code == 200, signed_in.text
    assert "refresh_token" not in signed_in.json()
    foreign = {**ours, "Origin": "https://elsewhere.example"}
    for headers, status in ((foreign, 403), (ours, 200)):
        answer = server.session.post(f"{server.url}/api/v1/web/refresh", headers=headers, timeout=20)
        assert answer.status_code == status, (headers, answer.text)
    ticket = server.ask("POST", "/ws/tickets", 201)["ticket"]
    address = f"{server.url.replace('http', 'ws', 1)}/api/v1/ws/environments?ticket={ticket}"
    trust = ssl.create_default_context(cafile=CERTIFICATE)
    with connect(address, ssl=trust, origin=server.url, open_timeout=20) as socket:  # type: ignore[arg-type]
        welcome = json.loads(socket.recv(20))
        assert welcome["type"] == "welcome", welcome
    tell("a browser signs in by its cookie, another site's page doesn't, and the list of machines opens by ticket")


def sign_in_to_admin(server: Server) -> None:
    page = server.session.get(f"{server.url}/admin/login/", timeout=10)
    assert page.status_code == 200
    style = re.search(r'href="(/static/[^"]+\.css)"', page.text)
    assert style is not None
    assert server.session.get(server.url + style[1], timeout=10).status_code == 200
    form = {**OPERATOR, "csrfmiddlewaretoken": re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]}
    answer = server.session.post(
        f"{server.url}/admin/login/?next=/admin/",
        data=form,
        headers={"Referer": f"{server.url}/admin/login/"},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text[:500]
    assert "/admin/logout/" in answer.text, answer.text[:500]
    assert all(cookie.secure for cookie in server.session.cookies), "a cookie may leave over http"
    tell("the admin's login page has its style, and lets the operator in")


def watch(server: Server) -> None:
    """Every 50 ms a request on a connection of its own."""
    ended, statuses = threading.Event(), Counter()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    while not ended.wait(0.05):
        try:
            answer = requests.get(f"{server.url}/health", verify=CERTIFICATE, timeout=15)
            statuses[answer.status_code] += 1
        except requests.RequestException as error:
            statuses[type(error).__name__] += 1
    assert set(statuses) == {200}, statuses
    tell(f"upgrade and rollback: {statuses[200]} requests meanwhile, none failed")


def again(server: Server) -> None:
    environment_id = json.loads(STATE.read_text())["id"]
    body = {"username_or_email": USER["username"], "password": USER["password"]}
    server.token = server.ask("POST", "/auth/login", 200, body)["access_token"]
    server.say(environment_id, "echo $MARK-$MARK", "kept-kept")
    tell("the shell from before the upgrade is still there")
    server.ask("DELETE", f"/environments/{environment_id}", 204)
    tell("deleted the environment")


if __name__ == "__main__":
    domain, outbox, what = sys.argv[1:]
    if what == "first":
        first(Server(domain), Path(outbox))
    elif what == "watch":
        watch(Server(domain))
    else:
        again(Server(domain))
