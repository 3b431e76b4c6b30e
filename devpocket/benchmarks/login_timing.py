"""Does the time of a refused sign-in tell whether a name exists? Medians over alternating tries, and their difference.

    python -m devpocket.benchmarks.login_timing http://127.0.0.1:8000 [--tries 40]

Against a running server with THROTTLE_SCALE and ACCOUNT_LOCKOUT_ATTEMPTS above the number of tries. It signs up one
user for itself, and leaves it there.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import time

import requests

PASSWORD = "Correct-Horse-7"  # noqa: S105 -- of a user made for this run
LIMIT_S = 15


def refused_ms(session: requests.Session, url: str, name: str) -> float:
    """How long one wrong sign-in took. Raises: SystemExit, where it was refused for another reason."""
    began = time.perf_counter()
    body = {"username_or_email": name, "password": f"Wrong-{PASSWORD}"}
    answer = session.post(f"{url}/api/v1/auth/login", json=body, timeout=LIMIT_S)
    took_ms = (time.perf_counter() - began) * 1000
    if answer.status_code != 401:
        sys.exit(
            f"got {answer.status_code}, not 401: raise THROTTLE_SCALE and ACCOUNT_LOCKOUT_ATTEMPTS for this server"
        )
    return took_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--tries", type=int, default=40, help="of each kind, at most 1000")
    arguments = parser.parse_args()
    url, tries = arguments.url.rstrip("/"), min(arguments.tries, 1000)
    known, unknown = (f"bench-{secrets.token_hex(6)}" for _ in range(2))
    with requests.Session() as session:
        body = {"username": known, "email": f"{known}@example.org", "password": PASSWORD}
        session.post(f"{url}/api/v1/auth/register", json=body, timeout=LIMIT_S).raise_for_status()
        for name in (known, unknown):
            refused_ms(session, url, name)  # warm: connections, caches, imports
        took: dict[str, list[float]] = {known: [], unknown: []}
        for _ in range(tries):
            for name, times in took.items():
                times.append(refused_ms(session, url, name))
    of_known, of_unknown = (statistics.median(times) for times in took.values())
    print(f"known {of_known:.1f} ms  unknown {of_unknown:.1f} ms  ({tries} each)")  # noqa: T201
    print(f"difference {(of_known - of_unknown) / of_unknown * 100:+.1f} %")  # noqa: T201


if __name__ == "__main__":
    main()
