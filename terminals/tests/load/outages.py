"""Redis, PostgreSQL and the cloud taken away for a while, one after the other, under a light load.

What works goes on: terminals, and whatever doesn't need what is away. What can't says 503 and when to come back. All of
it recovers by itself, and no machine is lost or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from devpocket.tasks import TaskOwner
from terminals.tests.load.report import Report, tell_log
from terminals.tests.load.typist import ECHO_LIMIT_S, Tally, Typist
from terminals.tests.load.visitors import Resident, Visit, Visitors
from terminals.tests.load.world import World

RESIDENTS, TERMINALS_EACH, RPS = 6, 3, 10.0
CALM_S = 15.0  # before, between and after
RECOVERED_S = 10.0  # after what was away is back, everything is as before within so long
SETTLE_LIMIT_S = 120.0
LIFE_LIMIT_S = 600.0


async def run(options: argparse.Namespace, made: World, report: Report) -> None:
    """Raises nothing: what is wrong is in the report."""
    report.say(f"signing up {RESIDENTS} users with a machine each ...")
    residents = await asyncio.to_thread(made.settle, RESIDENTS + 1)  # the last has no terminals
    tally, tasks = Tally(), TaskOwner()
    typists = []
    for number in range(RESIDENTS * TERMINALS_EACH):
        resident = residents[number % RESIDENTS]
        query = f"session=s{number // RESIDENTS}"
        typists.append(Typist(made.ws_url, resident.environment_id, resident.token, query, tally))
        tasks.start(typists[-1].run(), name=f"typist-{number}")
    async with asyncio.timeout(SETTLE_LIMIT_S):
        for typist in typists:
            await typist.is_settled.wait()
    visitors = Visitors(made.url, residents, RPS)
    visitors.start()
    await asyncio.sleep(CALM_S)
    spans: dict[str, tuple[float, float]] = {}
    try:
        for name, away_s, take, give_back in _outages(options, made):
            report.say(f"{name} is away for {away_s:g} s ...")
            began = time.monotonic()
            await asyncio.to_thread(take)
            asked = await asyncio.to_thread(_ask_for_lives, made, residents, name)
            report.say(f"  asked meanwhile: {dict(asked)}")
            await asyncio.sleep(max(0.0, began + away_s - time.monotonic()))
            await asyncio.to_thread(give_back)
            spans[name] = (began, time.monotonic())
            await asyncio.sleep(RECOVERED_S + CALM_S)
    finally:
        visits = await asyncio.to_thread(visitors.stop)
        still_open = tally.open
        await tasks.aclose()
    _tell(tally, visits, spans, report)
    report.check("terminals that were closed", str(dict(tally.closes)), holds=not tally.closes)
    report.check("terminals open at the end", f"{still_open} of {len(typists)}", holds=still_open == len(typists))
    report.check("terminals that got stuck", str(len(tally.failures)), holds=not tally.failures)
    for failure in tally.failures[:5]:
        report.say(f"    {failure}")
    lost = await asyncio.to_thread(_machines_amiss, made, residents)
    report.check("machines lost, doubled or stuck", "; ".join(lost) or "none", holds=not lost)
    for server in made.servers:
        tell_log(server.process.log, report)


def _outages(
    options: argparse.Namespace, made: World
) -> list[tuple[str, float, Callable[[], None], Callable[[], None]]]:
    def cloud(*, is_up: bool) -> None:
        made.cloud_is_up = is_up

    return [
        ("Redis", options.outage_seconds, made.redis.kill, made.redis.start),
        ("PostgreSQL", options.outage_seconds, made.postgres.kill, made.postgres.start),
        ("the cloud", options.cloud_minutes * 60, lambda: cloud(is_up=False), lambda: cloud(is_up=True)),
    ]


def _ask_for_lives(made: World, residents: list[Resident], name: str) -> Counter[str]:
    """What changes machines: a restart of one, and a new machine for a new user."""
    told: Counter[str] = Counter()
    other = residents[RESIDENTS]
    answer = made.servers[0].ask("POST", f"/environments/{other.environment_id}/restart", token=other.token)
    told[f"restart {answer.status_code}"] += 1
    body = {"username": f"late{name[-3:].lower()}{time.time_ns() % 10**6}", "password": "Correct-Horse-7"}
    answer = made.servers[1].ask("POST", "/auth/register", {**body, "email": f"{body['username']}@example.org"})
    told[f"register {answer.status_code}"] += 1
    if answer.status_code == 201:
        token = answer.json()["access_token"]
        created = made.servers[1].ask("POST", "/environments", {"name": "Late", "template_id": "ubuntu"}, token=token)
        told[f"create {created.status_code}"] += 1
        if created.status_code == 201:
            residents.append(Resident(token, created.json()["id"]))
    return told


def _tell(tally: Tally, visits: list[Visit], spans: dict[str, tuple[float, float]], report: Report) -> None:
    for name, (began, ended) in spans.items():
        during = [visit for visit in visits if began <= visit.at < ended]
        answers = Counter(str(visit.status) for visit in during)
        amiss = [one for one in during if not (200 <= one.status < 300 or one.is_well_refused)]
        report.say(
            f"  {name} away: answers {dict(answers)}, the slowest after "
            f"{max((one.took_s for one in during), default=0):.1f} s"
        )
        report.check(f"{name} away: neither 2xx nor a proper 503", str(len(amiss)), holds=not amiss)
        for one in amiss[:3]:
            report.say(f"    {one.what}: {one.status} {one.text}")
        echoes = [took for took, at in zip(tally.echo_s, tally.echo_at, strict=True) if began <= at < ended]
        slowest = max(echoes, default=ECHO_LIMIT_S)
        report.check(f"{name} away: {len(echoes)} keys echoed, slowest", f"{slowest * 1000:.0f} ms", holds=bool(echoes))
    outside = [
        visit
        for visit in visits
        if not any(began - 1 <= visit.at <= ended + RECOVERED_S for began, ended in spans.values())
    ]
    failed = [visit for visit in outside if not 200 <= visit.status < 300]
    report.check(f"of {len(outside)} requests at other times failed", str(len(failed)), holds=not failed)
    for visit in failed[:3]:
        report.say(f"    {visit.what}: {visit.status} {visit.text}")


def _machines_amiss(made: World, residents: list[Resident]) -> list[str]:
    """Each environment ends up running, with one droplet and one volume; and there are no others."""
    amiss = []
    for resident in residents:
        tag = f"dp-env-{resident.environment_id}"
        try:
            made.servers[0].wait_for(resident.token, resident.environment_id, "running", limit_s=LIFE_LIMIT_S)
        except AssertionError as error:
            amiss.append(f"{tag}: {error}")
        counted = (len(made.cloud.droplets(tag)), len(made.cloud.volumes(tag)))
        if counted != (1, 1):
            amiss.append(f"{tag}: {counted[0]} droplets, {counted[1]} volumes")
    whole: list[Any] = made.cloud.droplets("devpocket")
    if len(whole) != len(residents):
        amiss.append(f"{len(whole)} droplets for {len(residents)} environments")
    return amiss
