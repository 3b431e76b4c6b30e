"""Sizes and regions of the cloud, cached for an hour and served stale while the cloud doesn't answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
from django.core.cache import cache

from accounts.plans import PLAN_RANK
from devpocket.errors import InvalidInput
from environments import cloudapi
from environments.cloud import CloudError, Region, Size
from environments.errors import CloudTrouble, SizeNotAllowed

T = TypeVar("T")
log = structlog.get_logger(__name__)

FRESH_S = 3600
STALE_S = 30 * 24 * 3600

# Which plan a size needs (contract section 10): the two small ones are named, whatever is larger is for pro.
SIZE_TIERS = {"s-1vcpu-512mb-10gb": "free", "s-1vcpu-1gb": "starter"}


def size_tier(slug: str) -> str:
    return SIZE_TIERS.get(slug, "pro")


def is_size_allowed(slug: str, plan: str) -> bool:
    return PLAN_RANK[plan] >= PLAN_RANK[size_tier(slug)]


def _cached(key: str, fetch: Callable[[], T]) -> T:
    """What `fetch` gave within the hour, else anew. Raises: CloudTrouble, when there is not even an old answer."""
    if (fresh := cache.get(f"catalogue:{key}:fresh")) is not None:
        return fresh
    try:
        value = fetch()
    except CloudError as error:
        log.warning("catalogue_fetch_failed", what=key, error=str(error))
        if (stale := cache.get(f"catalogue:{key}:stale")) is not None:
            return stale
        raise CloudTrouble(
            "The cloud doesn't answer right now. Please try again in a minute.", retry_after_s=60
        ) from error
    cache.set(f"catalogue:{key}:fresh", value, FRESH_S)
    cache.set(f"catalogue:{key}:stale", value, STALE_S)
    return value


def sizes() -> list[Size]:
    """Smallest first. Sync, and may call the cloud: not inside a transaction. Raises: CloudTrouble."""
    found = _cached("sizes", lambda: cloudapi.impatient_client().sizes())
    return sorted(found, key=lambda size: (size.memory_mb, size.vcpus, size.price_usd_per_hour))


def regions() -> list[Region]:
    """Raises: CloudTrouble."""
    return _cached("regions", lambda: cloudapi.impatient_client().regions())


def choose_region(wanted: str | None, *defaults: str | None) -> Region:
    """The region asked for, or the first default that can take machines. Raises: InvalidInput, CloudTrouble."""
    usable = {region.slug: region for region in regions() if region.is_available and "storage" in region.features}
    if wanted is not None:
        if wanted not in usable:
            raise InvalidInput.field("region", "This region isn't known or takes no machines now.", "unknown_choice")
        return usable[wanted]
    for slug in defaults:
        if slug in usable:
            return usable[slug]
    if not usable:
        raise CloudTrouble("No region takes machines right now. Please try again later.", retry_after_s=300)
    return min(usable.values(), key=lambda region: region.slug)


def choose_size(
    wanted: str | None, *, region: Region, plan: str, memory_mb: int = 0, vcpus: int = 0, at_least: str | None = None
) -> Size:
    """The size asked for, or the plan's smallest that has `memory_mb` and `vcpus` and isn't below `at_least`.

    Raises: InvalidInput (unknown, or not in the region), SizeNotAllowed, CloudTrouble.
    """
    known = sizes()
    offered = [
        size for size in known if size.is_available and region.slug in size.regions and size.slug in region.sizes
    ]
    if wanted is not None:
        chosen = next((size for size in offered if size.slug == wanted), None)
        if chosen is None:
            raise InvalidInput.field("size", "This size isn't known or isn't offered in the region.", "unknown_choice")
        if not is_size_allowed(wanted, plan):
            raise SizeNotAllowed(f"Your plan doesn't include the size {wanted}.", size=wanted, plan=plan)
        return chosen
    floor = next((size for size in known if size.slug == at_least), None)
    needed_mb = max(memory_mb, floor.memory_mb if floor else 0)
    fitting = [size for size in offered if size.memory_mb >= needed_mb and size.vcpus >= vcpus]
    allowed = [size for size in fitting if is_size_allowed(size.slug, plan)]
    if allowed:
        return allowed[0]
    if fitting:
        raise SizeNotAllowed(f"This needs the size {fitting[0].slug}, which your plan doesn't include.", plan=plan)
    raise SizeNotAllowed("No size of this region is large enough for it.", plan=plan, region=region.slug)


def is_known_region(slug: str) -> bool:
    """By what is cached already: signing up must not wait for the cloud. Nothing cached: anything goes."""
    known = cache.get("catalogue:regions:fresh") or cache.get("catalogue:regions:stale")
    return known is None or any(region.slug == slug for region in known)
