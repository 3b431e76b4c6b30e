"""What an environment costs, by its row alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments.billing import (
    SNAPSHOT_USD_PER_GB_HOUR,
    VOLUME_USD_PER_GB_HOUR,
    billing_columns,
    shown,
    usd_month_to_date,
    usd_per_hour,
)
from environments.lifecycle import Desired, Phase
from environments.models import Environment

PRICE = 0.00595
MONTH_BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


def environment(**columns: object) -> Environment:
    return Environment(**{"price_usd_per_hour": PRICE, "volume_size_gb": 10, **columns})


def test_what_exists_is_paid_for() -> None:
    assert usd_per_hour(environment()) == 0
    assert usd_per_hour(environment(volume_id="v")) == pytest.approx(10 * VOLUME_USD_PER_GB_HOUR)
    both = environment(volume_id="v", droplet_id=1)
    assert usd_per_hour(both) == pytest.approx(PRICE + 10 * VOLUME_USD_PER_GB_HOUR)
    both.snapshots_gb = 2.5
    assert usd_per_hour(both) == pytest.approx(PRICE + 10 * VOLUME_USD_PER_GB_HOUR + 2.5 * SNAPSHOT_USD_PER_GB_HOUR)


def test_a_powered_off_droplet_is_never_shown_as_free() -> None:
    row = environment(volume_id="v", droplet_id=1, phase=Phase.STOPPED, billing_usd_per_hour=0.01)
    told = shown(row)
    assert (told["state"], told["usd_per_hour"]) == ("powered_off", 0.01)
    assert "Hibernate" in told["note"]


def test_the_states_tell_apart_what_is_there() -> None:
    assert shown(environment(phase=Phase.CREATING))["state"] == "none"
    assert shown(environment(phase=Phase.RUNNING, droplet_id=1))["state"] == "active"
    put_away = environment(phase=Phase.STOPPED, desired_state=Desired.HIBERNATED, billing_usd_per_hour=0.001)
    assert shown(put_away)["state"] == "hibernated"


def test_facts_that_cost_nothing_change_no_rate() -> None:
    assert billing_columns(environment(), {"droplet_ip": "10.0.0.1"}) == {}
    assert billing_columns(environment(droplet_id=1, billing_usd_per_hour=PRICE), {"droplet_id": 1}) == {}


def test_a_new_rate_keeps_what_the_old_one_cost() -> None:
    row = environment(droplet_id=1, billing_usd_per_hour=PRICE, billing_since=datetime.now(UTC) - timedelta(seconds=36))
    columns = billing_columns(row, {"droplet_id": None})
    assert row.droplet_id == 1  # the row is left as it is
    assert columns["billing_usd_per_hour"] == 0
    assert columns["billing_month_usd"] <= PRICE / 100 * 1.1


@given(
    st.lists(st.tuples(st.integers(1, 400), st.floats(0, 2)), min_size=1, max_size=8),
    st.integers(0, 29 * 24),
)
def test_adding_up_at_each_change_gives_the_same_as_adding_up_at_the_end(
    periods: list[tuple[int, float]], begins_h: int
) -> None:
    """Rates by the hour, from before the month until within it."""
    start = MONTH_BEGAN - timedelta(days=10) + timedelta(hours=begins_h)
    row = environment(billing_since=start, billing_usd_per_hour=0.0)
    now, expected = start, 0.0
    for hours, rate in periods:
        row.billing_month_usd, row.billing_since, row.billing_usd_per_hour = usd_month_to_date(row, now), now, rate
        following = now + timedelta(hours=hours)
        month = following.replace(day=1, hour=0)
        if (following.year, following.month) != (now.year, now.month):
            expected = 0.0
        expected += rate * ((following - max(now, month)) / timedelta(hours=1))
        now = following
    assert usd_month_to_date(row, now) == pytest.approx(expected)
