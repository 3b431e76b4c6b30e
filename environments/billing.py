"""What an environment costs at the cloud: an estimate in US dollars, from the row alone.

The rate changes only when the row does (a droplet comes or goes, another size, a larger volume, a snapshot), and each
such write adds up what the old rate cost. So no list of periods is needed to say what the month has cost so far.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from environments.lifecycle import Desired, Phase
from environments.models import Environment

# Not in the API. Source: DigitalOcean's public price pages (volumes 0.10, snapshots 0.06 a GiB and month). An hour is
# a month / 672, as in the API's own price_hourly (FACTS.md, "Sizes, images, regions").
HOURS_A_MONTH = 672
VOLUME_USD_PER_GB_HOUR = 0.10 / HOURS_A_MONTH
SNAPSHOT_USD_PER_GB_HOUR = 0.06 / HOURS_A_MONTH

BILLED = frozenset({"droplet_id", "volume_id", "volume_size_gb", "price_usd_per_hour", "snapshots_gb"})

POWERED_OFF_NOTE = "A stopped machine costs as much as a running one. Hibernate or delete it to pay less."
HIBERNATED_NOTE = "Only the volume and the copy of the disk are paid for."


def usd_per_hour(environment: Environment) -> float:
    """The rate of all that exists at the cloud now. A droplet that is off costs as much as one that is on."""
    droplet = environment.price_usd_per_hour if environment.droplet_id is not None else 0.0
    volume = environment.volume_size_gb * VOLUME_USD_PER_GB_HOUR if environment.volume_id is not None else 0.0
    return droplet + volume + environment.snapshots_gb * SNAPSHOT_USD_PER_GB_HOUR


def usd_month_to_date(environment: Environment, now: datetime) -> float:
    """Since the first of the month, UTC."""
    month_began = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = environment.billing_month_usd if environment.billing_since >= month_began else 0.0
    since = max(environment.billing_since, month_began)
    return before + environment.billing_usd_per_hour * max(0.0, (now - since).total_seconds()) / 3600


def billing_columns(environment: Environment, facts: dict[str, Any]) -> dict[str, Any]:
    """The columns to write with `facts`, which the row doesn't hold yet; none where they don't change its rate."""
    if not BILLED & facts.keys():
        return {}
    before = {name: getattr(environment, name) for name in BILLED}
    try:
        for name in BILLED & facts.keys():
            setattr(environment, name, facts[name])
        rate = usd_per_hour(environment)
    finally:
        for name, value in before.items():
            setattr(environment, name, value)
    if rate == environment.billing_usd_per_hour:
        return {}
    now = timezone.now()
    return {
        "billing_usd_per_hour": rate,
        "billing_since": now,
        "billing_month_usd": usd_month_to_date(environment, now),
    }


def shown(environment: Environment) -> dict[str, Any]:
    """`billing` of the environment object. `state`: active or powered_off (a machine), hibernated, volume (no machine
    yet, or none any more), or none.
    """
    state, note = "none", None
    if environment.droplet_id is not None:
        is_off = environment.phase == Phase.STOPPED
        state, note = ("powered_off", POWERED_OFF_NOTE) if is_off else ("active", None)
    elif environment.desired_state == Desired.HIBERNATED:
        state, note = "hibernated", HIBERNATED_NOTE
    elif environment.billing_usd_per_hour:
        state = "volume"
    return {
        "state": state,
        "usd_per_hour": round(environment.billing_usd_per_hour, 5),
        "usd_month_to_date": round(usd_month_to_date(environment, timezone.now()), 4),
        "note": note,
    }
