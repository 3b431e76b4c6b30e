"""Open terminals at which people type, and visitors of the API, on two server processes behind nginx: how fast, how
much memory, and what is lost when servers are restarted (`make load`, docs/development.md).

    make load ARGS="--minutes 2 --terminals 100"
    make load ARGS="--minutes 4 --restart"
    make load ARGS="--outages"

Starts all that it needs on ports of its own. The status is 0 where everything held.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

import psutil
import uvloop

from devpocket.tasks import TaskOwner
from terminals.tests.load import outages
from terminals.tests.load.report import Report, machine_ms, percentile, tell_log
from terminals.tests.load.typist import Tally, Typist
from terminals.tests.load.visitors import Visit, Visitors
from terminals.tests.load.watch import Watch
from terminals.tests.load.world import Missing, World, world

ECHO_P99_MS, API_P99_MS, GROWTH, BACK_S = 50.0, 300.0, 0.05, 10.0
OPEN_EVERY_S = 0.05  # two terminals
SETTLE_LIMIT_S = 60
SAMPLE_EVERY_S = 5.0
PER_USER = 8  # of the ten that one may have: those that come back may meet their own old places


def _servers_cpu_s(made: World) -> float:
    used = [psutil.Process(server.process.pid).cpu_times() for server in made.servers]
    return sum(times.user + times.system for times in used)


async def run(options: argparse.Namespace, made: World, report: Report) -> None:
    report.say(f"signing up {-(-options.terminals // PER_USER)} users with a machine each ...")
    residents = await asyncio.to_thread(made.settle, -(-options.terminals // PER_USER))
    tally, tasks = Tally(), TaskOwner()
    plain = round(options.terminals * options.plain)
    report.say(f"opening {options.terminals} terminals, {plain} of them without tmux ...")
    typists, before_s = [], _servers_cpu_s(made)
    for number in range(options.terminals):
        resident = residents[number % len(residents)]
        query = "tmux=0" if number < plain else f"session=s{number // len(residents)}"
        typist = Typist(made.ws_url, resident.environment_id, resident.token, query, tally)
        typists.append(typist)
        tasks.start(typist.run(), name=f"typist-{number}")
        await asyncio.sleep(OPEN_EVERY_S)
    async with asyncio.timeout(SETTLE_LIMIT_S):
        for typist in typists:
            await typist.is_settled.wait()
    opening_ms = (_servers_cpu_s(made) - before_s) / options.terminals * 1000
    report.say(f"all open, each at {opening_ms:.0f} ms of a server's CPU; {options.warm_up:g} s to warm up ...")
    visitors = Visitors(made.url, residents, options.rps)
    visitors.start()
    await asyncio.sleep(options.warm_up)
    opened, began = tally.closes.total(), time.monotonic()
    watch = Watch(made, visitors.pid)
    try:
        stopped_s = await _measure(options, made, watch, report)
        ended = time.monotonic()
    finally:
        visits = await asyncio.to_thread(visitors.stop)
        still_open = tally.open
        await tasks.aclose()
    _tell_load(options, tally, [visit for visit in visits if began <= visit.at <= ended], began, ended, report)
    if options.restart:
        _tell_restart(tally, stopped_s, report)
    else:
        report.check(
            "terminals that were closed", str(tally.closes.total() - opened), holds=tally.closes.total() == opened
        )
        growth = watch.growth()
        report.check(
            "growth of the servers' memory",
            ", ".join(f"{one:+.1%}" for one in growth),
            holds=all(abs(one) <= GROWTH for one in growth),
        )
    report.check(
        "terminals open at the end", f"{still_open} of {options.terminals}", holds=still_open == options.terminals
    )
    _tell_cost(watch, report)
    for server in made.servers:
        tell_log(server.process.log, report)
    report.say(f"  the machine itself: a million turns of a loop in {machine_ms():.1f} ms of CPU")


async def _measure(options: argparse.Namespace, made: World, watch: Watch, report: Report) -> list[float]:
    """Until the time is over, with the restart in the middle of it; how long each server took to stop."""
    report.say(f"measuring for {options.minutes:g} minutes ...")
    give_up_at = time.monotonic() + options.minutes * 60
    restart_at = time.monotonic() + options.minutes * 30
    stopped_s: list[float] = []
    while time.monotonic() < give_up_at:
        watch.sample()
        if options.restart and not stopped_s and time.monotonic() >= restart_at:
            report.say("restarting one server after the other ...")
            stopped_s = await asyncio.to_thread(made.restart_all)
        await asyncio.sleep(SAMPLE_EVERY_S)
    return stopped_s


def _tell_load(
    options: argparse.Namespace, tally: Tally, visits: list[Visit], began: float, ended: float, report: Report
) -> None:
    echoes = [took for took, at in zip(tally.echo_s, tally.echo_at, strict=True) if began <= at <= ended]
    wanted = 1 if not options.restart else 0  # while servers restart, echoes are late by that
    report.say()
    report.say(f"{options.terminals} terminals, {options.rps} requests/s, {(ended - began) / 60:.1f} minutes")
    p99 = percentile(echoes, 0.99) * 1000
    report.say(f"  keys echoed: {len(echoes)}, {len(echoes) / (ended - began):.0f}/s")
    report.say(
        f"  echo p50 {percentile(echoes, 0.5) * 1000:.1f}, p90 {percentile(echoes, 0.9) * 1000:.1f} ms, "
        f"p99.9 {percentile(echoes, 0.999) * 1000:.1f}, worst {max(echoes) * 1000:.0f} ms"
    )
    report.check("echo p99", f"{p99:.1f} ms", holds=p99 <= ECHO_P99_MS or not wanted)
    report.check("terminals that got stuck", str(len(tally.failures)), holds=not tally.failures)
    for failure in tally.failures[:5]:
        report.say(f"    {failure}")
    took = [visit.took_s for visit in visits]
    p99 = percentile(took, 0.99) * 1000
    report.say(f"  requests: {len(visits)}, {len(visits) / (ended - began):.0f}/s")
    report.say(
        f"  API p50 {percentile(took, 0.5) * 1000:.1f}, p90 {percentile(took, 0.9) * 1000:.1f} ms, "
        f"worst {max(took) * 1000:.0f} ms"
    )
    report.check("API p99", f"{p99:.1f} ms", holds=p99 <= API_P99_MS or not wanted)
    report.say(f"  asked again, since the proxy closed a kept connection: {sum(visit.is_second for visit in visits)}")
    failed = [visit for visit in visits if not 200 <= visit.status < 300]
    report.check("requests that failed", str(len(failed)), holds=not failed)
    for visit in failed[:5]:
        report.say(f"    {visit.what}: {visit.status} {visit.text}")
    by_kind: dict[str, list[float]] = {}
    for visit in visits:
        by_kind.setdefault(visit.what, []).append(visit.took_s * 1000)
    for what, times in sorted(by_kind.items()):
        report.say(
            f"    {what:34} {len(times):6}   p50 {percentile(times, 0.5):6.1f}   p99 {percentile(times, 0.99):6.1f} ms"
        )


def _tell_restart(tally: Tally, stopped_s: list[float], report: Report) -> None:
    report.check(
        "a server stops within 30 s", ", ".join(f"{took:.1f} s" for took in stopped_s), holds=max(stopped_s) <= 30
    )
    report.check("closes", str(dict(tally.closes)), holds=set(tally.closes) == {"1012 service restart"})
    report.check(
        "terminals back on the same screen",
        f"{len(tally.back_s)} of {tally.lost}, at most {max(tally.back_s, default=0):.1f} s",
        holds=len(tally.back_s) == tally.lost and max(tally.back_s, default=0) <= BACK_S,
    )
    report.check("terminals that were refused", str(dict(tally.refused)), holds=not tally.refused)


def _tell_cost(watch: Watch, report: Report) -> None:
    report.say(
        "  cores in use on average (memory of the servers at the end: "
        + ", ".join(f"{one:.0f} MiB" for one in watch.memory[-1])
        + ")"
    )
    for name, cores in watch.cores().items():
        report.say(f"    {name:20} {cores:6.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--terminals", type=int, default=500)
    parser.add_argument("--rps", type=float, default=50, help="requests a second of the API")
    parser.add_argument("--plain", type=float, default=0.0, help="share of the terminals that are without tmux")
    parser.add_argument("--warm-up", type=float, default=60, help="seconds before measuring begins")
    parser.add_argument("--restart", action="store_true", help="restart both servers in the middle")
    parser.add_argument("--outages", action="store_true", help="instead: take Redis, PostgreSQL and the cloud away")
    parser.add_argument("--outage-seconds", type=float, default=30, help="how long Redis and PostgreSQL are away")
    parser.add_argument("--cloud-minutes", type=float, default=5, help="how long the cloud is away")
    options = parser.parse_args()
    if options.restart and options.plain:
        parser.error("a plain shell is only in its server process: --restart without --plain")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    report = Report()

    async def all_of_it(directory: Path) -> None:
        async with world(directory) as made:
            await (outages.run if options.outages else run)(options, made, report)

    with tempfile.TemporaryDirectory(prefix="devpocket-load-") as name:
        try:
            uvloop.run(all_of_it(Path(name)))
        except Missing as missing:
            sys.exit(str(missing))
    report.say("all as it should be" if report.is_good else "NOT ALL AS IT SHOULD BE")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
