"""How long the admin's lists take with many rows. By hand: python -m terminals.tests.admin.measure --rows 100000

In the database of DATABASE_URL, which must be migrated and empty. Prints, for each list, milliseconds (the best of
five: other load only adds), its queries, and with `--plans` the plan of the slowest. `--keep` leaves the rows there,
`--reuse` takes those that were kept, so that two checkouts can be compared on the same ones.
"""

# ruff: noqa: T201 -- talks to a terminal
from __future__ import annotations

import argparse
import os
import time

import django

LISTS = {
    "accounts_user": ("", "?q=user-777", "?is_active__exact=1", "?p=100"),
    "accounts_session": ("", "?q=user-777"),
    "environments_environment": ("", "?q=user-777", "?phase__exact=error", "?region=fra1", "?p=100"),
    "environments_environmentevent": ("", "?q=user-777", "?phase=running", "?p=100"),
    "admin_logentry": ("", "?q=user-777"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--plans", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "devpocket.settings")
    django.setup()
    measure(options)


def measure(options: argparse.Namespace) -> None:
    from django.contrib.admin.models import LogEntry
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext, setup_test_environment

    from accounts.models import Session, User
    from environments.models import Environment, EnvironmentEvent
    from templates_catalog.models import Template
    from terminals.tests.admin.rows import Rows

    setup_test_environment()
    if not options.reuse:
        User.objects.create_superuser("boss", "boss@example.org")
        Rows().add(10, of=(Template,))
        for model in (User, Session, Environment, EnvironmentEvent, LogEntry):
            Rows().add(options.rows, of=(model,))
            print(f"{options.rows} rows of {model._meta.label}", flush=True)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    desk = Client()
    desk.force_login(User.objects.get(username="boss"), backend="accounts.backends.LockoutBackend")
    for name, queries in LISTS.items():
        for query in queries:
            url = f"/admin/{name.replace('_', '/')}/{query}"
            took: list[tuple[float, float]] = []
            for _ in range(5):
                began = time.process_time()
                with CaptureQueriesContext(connection) as captured:
                    status = desk.get(url).status_code
                cpu_ms = (time.process_time() - began) * 1000
                took.append((cpu_ms, sum(float(one["time"]) for one in captured.captured_queries) * 1000))
            cpu_ms, database_ms = (min(column) for column in zip(*took, strict=True))
            slowest = max(captured.captured_queries, key=lambda one: float(one["time"]))
            print(
                f"{database_ms:7.0f} ms in the database, {cpu_ms:5.0f} ms of CPU, "
                f"{len(captured):2} queries  {status} {url}",
                flush=True,
            )
            if options.plans:
                with connection.cursor() as cursor:
                    cursor.execute("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) " + slowest["sql"])
                    print("\n".join(f"            {line[:150]}" for (line,) in cursor.fetchall()))
    if not (options.keep or options.reuse):
        for model in (EnvironmentEvent, Environment, LogEntry, Session, User, Template):
            model._default_manager.all()._raw_delete(connection.alias)


if __name__ == "__main__":
    main()
