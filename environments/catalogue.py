"""Sizes and regions of the cloud, cached for an hour and served stale while the cloud doesn't answer.

Where there is not even an old answer, a few well-known ones stand in, so that an environment can still be asked for:
it waits for the cloud, which has the last word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from django.core.cache import BaseCache

from accounts.plans import PLAN_RANK
from devpocket.cache import shared_or_own
from devpocket.errors import DomainError, InvalidInput
from environments import cloudapi
from environments.cloud import CloudError, Region, Size
from environments.errors import CloudTrouble, ResizeRequired, SizeNotAllowed
from environments.models import Environment

T = TypeVar("T")
log = structlog.get_logger(__name__)

FRESH_S = 3600
STALE_S = 30 * 24 * 3600
SILENT, SILENT_S = "catalogue:silent", 30  # the cloud didn't answer a short while ago

# Which plan a size needs (contract section 10): the two small ones are named, whatever is larger is for pro.
SIZE_TIERS = {"s-1vcpu-512mb-10gb": "free", "s-1vcpu-1gb": "starter"}


# Sources: FACTS.md, "Sizes, images, regions", for what is sold and its prices (an hour is a month / 672); of the
# regions in the specification's `schemas/region_slug` those that take new machines today.
_REGION_NAMES = {
    "nyc1": "New York 1",
    "nyc3": "New York 3",
    "sfo3": "San Francisco 3",
    "ams3": "Amsterdam 3",
    "fra1": "Frankfurt 1",
    "lon1": "London 1",
    "sgp1": "Singapore 1",
    "blr1": "Bangalore 1",
    "syd1": "Sydney 1",
    "tor1": "Toronto 1",
}
BUILT_IN_SIZES = [
    Size(
        slug=slug,
        memory_mb=memory_mb,
        vcpus=vcpus,
        disk_gb=disk_gb,
        transfer_tb=transfer_tb,
        price_usd_per_month=price,
        price_usd_per_hour=round(price / 672, 5),
        regions=tuple(_REGION_NAMES),
        is_available=True,
        description="Basic",
    )
    for slug, memory_mb, vcpus, disk_gb, transfer_tb, price in (
        ("s-1vcpu-512mb-10gb", 512, 1, 10, 0.5, 4.0),
        ("s-1vcpu-1gb", 1024, 1, 25, 1.0, 6.0),
        ("s-2vcpu-2gb", 2048, 2, 60, 3.0, 18.0),
    )
]
BUILT_IN_REGIONS = [
    Region(
        slug=slug,
        name=name,
        is_available=True,
        features=("metadata", "storage"),
        sizes=tuple(size.slug for size in BUILT_IN_SIZES),
    )
    for slug, name in _REGION_NAMES.items()
]


def size_tier(slug: str) -> str:
    return SIZE_TIERS.get(slug, "pro")


def is_size_allowed(slug: str, plan: str) -> bool:
    return PLAN_RANK[plan] >= PLAN_RANK[size_tier(slug)]


def _cached(key: str, fetch: Callable[[], T], built_in: T) -> T:
    """What `fetch` gave within the hour, else anew; without the cloud an old answer, or else what we know ourselves.

    A cloud that didn't answer isn't asked again for a while: the next request must not wait for it as well.
    """
    return shared_or_own(lambda cache: _cached_in(cache, key, fetch, built_in))


def _cached_in(cache: BaseCache, key: str, fetch: Callable[[], T], built_in: T) -> T:
    found: T | None
    if (found := cache.get(f"catalogue:{key}:fresh")) is not None:
        return found
    if cache.get(SILENT) is None:
        try:
            value = fetch()
        except CloudError as error:
            log.warning("catalogue_fetch_failed", what=key, error=str(error))
            cache.set(SILENT, True, SILENT_S)
        else:
            cache.set(f"catalogue:{key}:fresh", value, FRESH_S)
            cache.set(f"catalogue:{key}:stale", value, STALE_S)
            return value
    found = cache.get(f"catalogue:{key}:stale")
    return built_in if found is None else found


def sizes() -> list[Size]:
    """Smallest first. Sync, and may call the cloud: not inside a transaction."""
    found = _cached("sizes", lambda: cloudapi.impatient_client().sizes(), BUILT_IN_SIZES)
    return sorted(found, key=lambda size: (size.memory_mb, size.vcpus, size.price_usd_per_hour))


def regions() -> list[Region]:
    """As `sizes`."""
    return _cached("regions", lambda: cloudapi.impatient_client().regions(), BUILT_IN_REGIONS)


def choose_region(wanted: str | None, *defaults: str | None) -> list[Region]:
    """The region asked for; else all that can take machines, the defaults first.

    Raises: InvalidInput, CloudTrouble (there is none).
    """
    usable = {region.slug: region for region in regions() if region.is_available and "storage" in region.features}
    if wanted is not None:
        if wanted not in usable:
            raise InvalidInput.field("region", "This region isn't known or takes no machines now.", "unknown_choice")
        return [usable[wanted]]
    if not usable:
        raise CloudTrouble("No region takes machines right now. Please try again later.", retry_after_s=300)
    slugs = dict.fromkeys([*(slug for slug in defaults if slug in usable), *sorted(usable)])
    return [usable[slug] for slug in slugs]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a size has to have at least; `at_least`: also what this size has."""

    memory_mb: int = 0
    vcpus: int = 0
    at_least: str | None = None


def choose_place(wanted: str | None, *, among: list[Region], plan: str, needs: Needs) -> tuple[Region, Size]:
    """The first of the regions that has the size; where none has it, the first one's refusal.

    Raises: InvalidInput, SizeNotAllowed.
    """
    refusal: DomainError | None = None
    for region in among:
        try:
            return region, choose_size(wanted, region=region, plan=plan, needs=needs)
        except (InvalidInput, SizeNotAllowed) as error:
            refusal = refusal or error
    assert refusal is not None  # noqa: S101 -- for the type checker; there is a region
    raise refusal


def choose_size(wanted: str | None, *, region: Region, plan: str, needs: Needs) -> Size:
    """The size asked for, or the plan's smallest that has what is needed.

    Raises: InvalidInput (unknown, or not in the region), SizeNotAllowed.
    """
    if wanted is not None:
        chosen = next((size for size in _offered(sizes(), region) if size.slug == wanted), None)
        if chosen is None:
            raise InvalidInput.field("size", "This size isn't known or isn't offered in the region.", "unknown_choice")
        _check_plan(wanted, plan)
        return chosen
    fitting = _fitting(region, needs)
    allowed = [size for size in fitting if is_size_allowed(size.slug, plan)]
    if not allowed:
        raise SizeNotAllowed(
            f"This needs the size {fitting[0].slug}, which your plan doesn't include.", size=fitting[0].slug, plan=plan
        )
    return allowed[0]


def _fitting(region: Region, needs: Needs) -> list[Size]:
    """What is offered in the region and has what is needed, the smallest first. Raises: SizeNotAllowed (nothing)."""
    known = sizes()
    floor = next((size for size in known if size.slug == needs.at_least), None)
    needed_mb = max(needs.memory_mb, floor.memory_mb if floor else 0)
    needed_vcpus = max(needs.vcpus, floor.vcpus if floor else 0)
    offered = _offered(known, region)
    fitting = [size for size in offered if size.memory_mb >= needed_mb and size.vcpus >= needed_vcpus]
    if not fitting:  # in no plan: none is named
        raise SizeNotAllowed("No size of this region is large enough for it.", region=region.slug)
    return fitting


def _offered(known: list[Size], region: Region) -> list[Size]:
    return [size for size in known if size.is_available and region.slug in size.regions and size.slug in region.sizes]


def _check_plan(slug: str, plan: str) -> None:
    if not is_size_allowed(slug, plan):
        raise SizeNotAllowed(f"Your plan doesn't include the size {slug}.", size=slug, plan=plan)


def choose_resize(wanted: str, *, environment: Environment, plan: str) -> Size:
    """The size to give to the environment. Raises: InvalidInput, SizeNotAllowed."""
    if wanted == environment.size:
        raise InvalidInput.field("size", "It has this size already.")
    return choose_size(wanted, region=_region_of(environment), plan=plan, needs=Needs())


def check_fits(environment: Environment, *, memory_mb: int = 0, vcpus: int = 0) -> None:
    """Raises: ResizeRequired, where the machine has less than this; SizeNotAllowed, where no size has it."""
    if memory_mb <= environment.memory_mb and vcpus <= environment.vcpus:
        return
    size = _fitting(_region_of(environment), Needs(memory_mb=memory_mb, vcpus=vcpus))[0]  # in the plan? the resize says
    raise ResizeRequired(f"This needs the size {size.slug}. Please resize the environment.", required_size=size.slug)


def _region_of(environment: Environment) -> Region:
    """Also one that takes no new machines any more."""
    found = next((region for region in regions() if region.slug == environment.region), None)
    if found is None:
        raise InvalidInput.field("size", "The environment's region offers no sizes now.", "unknown_choice")
    return found


def _regions_at_hand() -> list[Region] | None:
    """What is cached already, for those who must not wait for the cloud. None: nothing is."""
    return shared_or_own(lambda cache: cache.get("catalogue:regions:fresh") or cache.get("catalogue:regions:stale"))


def is_known_region(slug: str) -> bool:
    """For whoever signs up. Nothing at hand: anything goes, for the cloud may have more than we know ourselves."""
    known = _regions_at_hand()
    return known is None or any(region.slug == slug for region in known)


def is_filter_region(slug: str) -> bool:
    """Whether a list can be asked for this region. Nothing at hand: the built-in ones are, as for what is created."""
    return any(region.slug == slug for region in _regions_at_hand() or BUILT_IN_REGIONS)
