"""The product on real virtual machines: create, install, terminal, and the rest of an environment's life.

    make rig-test                                  # RIG_TEMPLATES=ubuntu,python RIG_SUITE=trixie RIG_SHORT=1

Every template gets a server and a local cloud of its own, whose droplets are machines of ../shared/rig/droplet.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from environments.tests.rig.life import Life
from environments.tests.rig.machines import PROGRAM, NotPrepared, Rig
from environments.tests.rig.report import Report, table
from environments.tests.rig.tools import WITHOUT_CORE, promise_of

SETTINGS = {
    # Emulated machines are 4 to 10 times slower than real ones.
    "INSTALL_TIMEOUT_MINUTES": "40",
    "DEADLINE_SCALE": "5",
    "ACCESS_TOKEN_SECONDS": "86400",
    "CLOUD_POLL_SECONDS": "1",
}


def main() -> int:
    templates = [name.strip() for name in os.environ.get("RIG_TEMPLATES", "ubuntu").split(",") if name.strip()]
    suite = os.environ.get("RIG_SUITE", "bookworm")
    is_short = os.environ.get("RIG_SHORT", "") not in ("", "0")
    signal.signal(signal.SIGTERM, _interrupt)
    reports = []
    try:
        with Rig.for_this_run(suite) as rig:
            for template in templates:
                reports.append(Report(template))
                _go_through(reports[-1], rig, is_short=is_short)
    except NotPrepared as error:
        sys.stderr.write(f"rig-test: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("rig-test: interrupted; its machines are removed\n")
        return 130
    sys.stdout.write(f"\nSeconds, on {suite}, emulated:\n\n{table(reports)}\n")
    for report in reports:
        for failure in report.failures:
            sys.stdout.write(f"FAILED  {report.template}: {failure}\n")
    return 1 if any(report.failures for report in reports) else 0


def _go_through(report: Report, rig: Rig, *, is_short: bool) -> None:
    """All that happens to one template's environment. What fails is in the report."""
    skips = os.environ.get("RIG_SKIPS")
    promise = promise_of(report.template)
    left_out = list(promise.skips) if skips is None else [name for name in skips.split(",") if name]
    if "core" in left_out:
        promise = replace(promise, commands=WITHOUT_CORE)
    report.say(f"on {rig.suite}; steps left out here: {', '.join(left_out) or 'none'}")
    os.environ.update(rig.environment)  # for the local cloud's process
    with tempfile.TemporaryDirectory(prefix="devpocket-rig-") as name:
        directory = Path(name)
        with (
            LocalCloud.start(directory, "--droplet-command", str(PROGRAM)) as cloud,
            Server.start(cloud.url, directory, SETUP_SKIPS=",".join(left_out), **SETTINGS) as server,
        ):
            life = Life(server, cloud, rig, report, promise, directory)
            acts = [life.is_created, life.is_installed, life.is_changed]
            acts += [] if is_short else [life.is_stopped_and_started, life.is_restarted, life.is_recovered]
            try:
                for act in [*acts, life.is_deleted]:
                    act()
            except Exception as error:  # noqa: BLE001 -- whatever it is, the report and the other templates matter
                report.failures.append(f"{type(error).__name__}: {error}")
                report.say(f"FAILED  {report.failures[-1]}")
            if report.failures:
                life.tell_of_the_machine()
                for log in (directory / "localcloud.log", directory / "server.log"):
                    report.say(f"--- the end of {log.name}:\n{log.read_text()[-4000:]}")
            for machine in rig.listing()["droplets"]:
                rig.run("destroy", machine["name"], "--with-volumes")


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
