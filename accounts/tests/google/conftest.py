"""An issuer of the test's own in Google's place, which signs real tokens and serves its certificates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from accounts import google
from accounts.tests.google.issuer import ANDROID, IOS, WEB, Issuer


@pytest.fixture(scope="module")
def issuer_server() -> Iterator[tuple[ThreadingHTTPServer, list[Issuer]]]:
    current: list[Issuer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer = current[-1]
            issuer.fetches += 1
            issuer.answers.wait(10)
            body = json.dumps(issuer.certificates).encode() if issuer.body is None else issuer.body
            self.send_response(issuer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server, current
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def issuer(issuer_server: tuple[ThreadingHTTPServer, list[Issuer]], settings: Any) -> Iterator[Issuer]:
    server, current = issuer_server
    issuer = Issuer(url=f"http://127.0.0.1:{server.server_port}/certs")
    issuer.answers.set()
    current.append(issuer)
    settings.GOOGLE_CLIENT_IDS = [WEB, IOS, ANDROID]
    settings.GOOGLE_CERTS_URL = issuer.url
    yield issuer
    issuer.answers.set()
    if google.fetcher._fetch is not None:
        google.fetcher._fetch.exception(5)  # none of this test's fetches is shared with the next test
