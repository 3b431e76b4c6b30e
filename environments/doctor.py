"""The doctor's checks of the cloud: the token, what it may do, and the clock."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from devpocket.doctor import Problem
from environments.cloud import CloudClient, CloudError, CloudThrottled

TIMEOUTS_S = (3.0, 5.0)
CLOCK_TOLERANCE_S = 5.0
NOWHERE = str(uuid.UUID(int=0))  # no volume and no firewall has this id

# What each scope (docs/cloud.md) is needed for, asked in a way that can change nothing: reading one, creating without
# a single field of those that are needed, changing or deleting what isn't there.
SCOPES: dict[str, tuple[str, str]] = {
    "account:read": ("GET", "/v2/account"),
    "regions:read": ("GET", "/v2/regions?per_page=1"),
    "sizes:read": ("GET", "/v2/sizes?per_page=1"),
    "actions:read": ("GET", "/v2/actions?per_page=1"),
    "droplet:read": ("GET", "/v2/droplets?per_page=1"),
    "droplet:create": ("POST", "/v2/droplets"),
    "droplet:delete": ("DELETE", f"/v2/droplets?tag_name=devpocket-doctor-{NOWHERE}"),
    "block_storage:read": ("GET", "/v2/volumes?per_page=1"),
    "block_storage:create": ("POST", "/v2/volumes"),
    "block_storage:delete": ("DELETE", f"/v2/volumes/{NOWHERE}"),
    "block_storage_action:create": ("POST", f"/v2/volumes/{NOWHERE}/actions"),
    "snapshot:read": ("GET", "/v2/snapshots?per_page=1&resource_type=droplet"),
    "snapshot:delete": ("DELETE", f"/v2/snapshots/{NOWHERE}"),
    "image:read": ("GET", "/v2/images?per_page=1"),
    "tag:read": ("GET", "/v2/tags?per_page=1"),
    "tag:create": ("POST", "/v2/tags"),
    "firewall:read": ("GET", "/v2/firewalls?per_page=1"),
    "firewall:create": ("POST", "/v2/firewalls"),
    "firewall:update": ("PUT", f"/v2/firewalls/{NOWHERE}"),
}


@contextmanager
def _cloud() -> Iterator[CloudClient]:
    """A client outside the budget, which tries each thing once. Raises: Problem, for what all calls may end in."""
    client = CloudClient(settings.DO_API_URL, settings.DO_TOKEN, timeouts_s=TIMEOUTS_S, retries=0, pool_size=1)
    try:
        yield client
    except CloudThrottled as error:
        raise Problem("the token is over its rate limit", f"Try again in {error.retry_after_s:.0f} s") from None
    except CloudError as error:
        if error.status == 401:
            raise Problem(f"the cloud refuses the token: {error}", "Set a good DO_TOKEN") from None
        if error.status == 403:
            raise Problem(f"the token may not even do this: {error}", "Give it the scopes in docs/cloud.md") from None
        if settings.USES_LOCALCLOUD:
            raise Problem(f"no local cloud: {error}", "make run starts one") from None
        raise Problem(
            f"{settings.DO_API_URL}: {error}", "Is DO_API_URL right, and may this machine go there?"
        ) from None
    finally:
        client.close()


def token() -> str:
    with _cloud() as client:
        began = time.perf_counter()
        client.account_check()
        return f"{settings.DO_API_URL} takes the token, {(time.perf_counter() - began) * 1000:.0f} ms"


def scopes() -> str:
    with _cloud() as client:
        missing = [scope for scope, request in SCOPES.items() if not client.is_permitted(*request)]
    if missing:
        raise Problem(f"the token lacks {', '.join(missing)}", "Give it the scopes in docs/cloud.md")
    return f"{len(SCOPES)} asked for, none refused (not asked: droplet:update, droplet:admin, image:create)"


def clock() -> str:
    with _cloud() as client:
        client.account_check()
        offset_s = client.clock_offset_s
    if offset_s is None:
        raise Problem("the cloud says no time", "Is there a proxy between? Compare the clock by hand")
    if abs(offset_s) > CLOCK_TOLERANCE_S:
        how = "ahead of" if offset_s > 0 else "behind"
        raise Problem(
            f"{abs(offset_s):.0f} s {how} the cloud's", "Tokens and leases go wrong: timedatectl set-ntp true"
        )
    return f"within {max(1.0, abs(offset_s)):.0f} s of the cloud's"
