"""How many GET /auth/me and POST /auth/login a server answers: requests a second, median and 99th percentile.

    python -m devpocket.benchmarks.accounts_load http://127.0.0.1:8000

Against a running server with a high THROTTLE_SCALE. It signs up one user for each client, and leaves them there.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

PASSWORD = "Correct-Horse-7"  # noqa: S105 -- of users made for this run
LIMIT_S = 30
CLIENTS = (1, 8, 32)
REQUESTS = {"GET /auth/me": 800, "POST /auth/login": 160}  # for each number of clients; a sign-in is slow on purpose


class Client:
    """One user on one keep-alive connection."""

    def __init__(self, url: str) -> None:
        self._api, self._session = f"{url}/api/v1", requests.Session()
        self._name = f"bench-{secrets.token_hex(6)}"
        body = {"username": self._name, "email": f"{self._name}@example.org", "password": PASSWORD}
        answer = self._session.post(f"{self._api}/auth/register", json=body, timeout=LIMIT_S)
        answer.raise_for_status()
        self._headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def me(self) -> int:
        return self._session.get(f"{self._api}/auth/me", headers=self._headers, timeout=LIMIT_S).status_code

    def login(self) -> int:
        body = {"username_or_email": self._name, "password": PASSWORD}
        return self._session.post(f"{self._api}/auth/login", json=body, timeout=LIMIT_S).status_code


def run(calls: list[Callable[[], int]], total: int) -> str:
    """Do `total` requests, shared out among the clients, all of them begun together."""
    barrier = threading.Barrier(len(calls))

    def one(call: Callable[[], int]) -> list[float]:
        took_ms = []
        barrier.wait()
        for _ in range(total // len(calls)):
            began = time.perf_counter()
            status = call()
            took_ms.append((time.perf_counter() - began) * 1000)
            if status != 200:
                sys.exit(f"got {status}, not 200: raise THROTTLE_SCALE for this server")
        return took_ms

    with ThreadPoolExecutor(len(calls)) as pool:
        began = time.perf_counter()
        took_ms = [one_took for took in pool.map(one, calls) for one_took in took]
        whole_s = time.perf_counter() - began
    p99 = statistics.quantiles(took_ms, n=100)[98]
    return f"{len(took_ms) / whole_s:8.1f} req/s   p50 {statistics.median(took_ms):7.1f} ms   p99 {p99:7.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    url = parser.parse_args().url.rstrip("/")
    clients = [Client(url) for _ in range(max(CLIENTS))]
    for what, total in REQUESTS.items():
        for count in CLIENTS:
            calls = [client.me if what.endswith("me") else client.login for client in clients[:count]]
            print(f"{what:18} {count:3} clients  {run(calls, total)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
