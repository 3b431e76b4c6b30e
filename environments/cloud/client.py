"""DigitalOcean's API, as far as environments need it. Knows no Django; safe to call from several threads.

Facts about the API that are not obvious are in docs/cloud.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from environments.cloud.errors import CloudNotFound, CloudRejected, CloudThrottled, CloudUnreachable
from environments.cloud.types import Action, Droplet, DropletSnapshot, Firewall, Region, Size, Volume

TIMEOUTS_S = (3.05, 8.0)  # to connect, and between two bytes of an answer
PAGE_SIZE = 200  # the API's largest
THROTTLED_DEFAULT_S = 30.0
REPEATABLE = frozenset({"GET", "DELETE"})
RETRY_FIRST_S = 0.3

T_co = TypeVar("T_co", covariant=True)
OnCall = Callable[[str, str, int | None, float], None]  # (method, path, status or None, seconds)
Gate = Callable[[], None]  # called before each request; may wait, or raise CloudThrottled to hold it back


class CloudClient:
    """One session for all calls; every call has a time limit.

    Only GET and DELETE are repeated, where repeating is harmless: a POST whose answer was lost may have taken effect,
    and the API has no idempotency keys. All methods raise CloudUnreachable, CloudThrottled and CloudRejected.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeouts_s: tuple[float, float] = TIMEOUTS_S,
        retries: int = 2,
        pool_size: int = 8,
        on_call: OnCall | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeouts_s = timeouts_s
        self._on_call, self._gate, self._retries = on_call, gate, retries
        self._seen = threading.local()
        self._session = requests.Session()
        self._session.trust_env = False  # no .netrc: it would replace our Authorization header
        self._session.headers.update({"Authorization": f"Bearer {token}", "User-Agent": "devpocket"})
        # No retries here: each request passes the gate, and a 429 goes to the caller, who knows what else waits.
        adapter = HTTPAdapter(max_retries=0, pool_connections=1, pool_maxsize=pool_size, pool_block=True)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        self._session.close()

    @property
    def request_id(self) -> str:
        """The cloud's own id of this thread's last request, for events and for its support; empty without one."""
        return str(getattr(self._seen, "request_id", ""))

    @property
    def clock_offset_s(self) -> float | None:
        """How far this machine's clock was ahead of the cloud's at this thread's last answer; half a second is its
        precision, since the cloud says whole seconds. None where it said no time."""
        return getattr(self._seen, "clock_offset_s", None)

    # --- Droplets

    def droplets_by_tag(self, tag: str) -> list[Droplet]:
        return [_read(Droplet, data) for data in self._pages("/v2/droplets", "droplets", {"tag_name": tag})]

    def droplet_get(self, droplet_id: int) -> Droplet:
        """Raises: CloudNotFound."""
        return _read(Droplet, self._json("GET", f"/v2/droplets/{droplet_id}")["droplet"])

    def droplet_create(
        self,
        *,
        name: str,
        region: str,
        size: str,
        image: str | int,
        user_data: str,
        tags: list[str],
        volumes: list[str],
    ) -> Droplet:
        """Ask for a droplet; it comes back `new`, without an address.

        `image`: a public image's slug, or a snapshot's id as an integer. `user_data`: at most 64 KiB.
        """
        body = {
            "name": name,
            "region": region,
            "size": size,
            "image": image,
            "user_data": user_data,
            "tags": tags,
            "volumes": volumes,
            "monitoring": False,
            "ipv6": False,
        }
        return _read(Droplet, self._json("POST", "/v2/droplets", body)["droplet"])

    def droplets_delete_by_tag(self, tag: str) -> None:
        """Delete every droplet that has the tag; none is no error. Only for tags that one environment owns."""
        self._delete("/v2/droplets", {"tag_name": tag})

    def droplet_delete(self, droplet_id: int) -> None:
        self._delete(f"/v2/droplets/{droplet_id}")

    # --- Actions

    def droplet_action(self, droplet_id: int, kind: str, **arguments: Any) -> Action:
        """Begin power_on, power_off, shutdown, reboot, power_cycle, resize (size, disk), snapshot (name) or rebuild
        (image). Raises: CloudNotFound."""
        answer = self._json("POST", f"/v2/droplets/{droplet_id}/actions", {"type": kind, **arguments})
        return _read(Action, answer["action"])

    def droplet_actions(self, droplet_id: int) -> list[Action]:
        """The latest ones, newest first. Raises: CloudNotFound."""
        answer = self._json("GET", f"/v2/droplets/{droplet_id}/actions", query={"per_page": 20})
        return sorted((_read(Action, data) for data in answer["actions"]), key=lambda action: -action.id)

    def action_get(self, action_id: int) -> Action:
        """Raises: CloudNotFound."""
        return _read(Action, self._json("GET", f"/v2/actions/{action_id}")["action"])

    # --- Snapshots of droplets

    def droplet_snapshots(self, droplet_id: int) -> list[DropletSnapshot]:
        """Raises: CloudNotFound."""
        found = self._pages(f"/v2/droplets/{droplet_id}/snapshots", "snapshots")
        return [_read(DropletSnapshot, data) for data in found]

    def snapshots(self) -> list[DropletSnapshot]:
        """Those of all droplets of the account, also of droplets that are gone. There is no filter by name."""
        found = self._pages("/v2/snapshots", "snapshots", {"resource_type": "droplet"})
        return [_read(DropletSnapshot, data) for data in found]

    def snapshot_delete(self, snapshot_id: str) -> None:
        self._delete(f"/v2/snapshots/{snapshot_id}")

    # --- Volumes

    def volume_find(self, *, name: str, region: str) -> Volume | None:
        """Names are unique within a region."""
        found = self._pages("/v2/volumes", "volumes", {"name": name, "region": region})
        return next((_read(Volume, data) for data in found), None)

    def volume_get(self, volume_id: str) -> Volume:
        """Raises: CloudNotFound."""
        return _read(Volume, self._json("GET", f"/v2/volumes/{volume_id}")["volume"])

    def volume_create(self, *, name: str, region: str, size_gb: int, tags: list[str]) -> Volume:
        """A blank volume: what boots from it formats it once, and never again."""
        body = {
            "name": name,
            "region": region,
            "size_gigabytes": size_gb,
            "tags": tags,
            "description": "DevPocket environment",
        }
        return _read(Volume, self._json("POST", "/v2/volumes", body)["volume"])

    def volume_delete(self, volume_id: str) -> None:
        """Must be free: CloudRejected (409) while it is attached."""
        self._delete(f"/v2/volumes/{volume_id}")

    def volumes(self) -> list[Volume]:
        """Those of the whole account."""
        return [_read(Volume, data) for data in self._pages("/v2/volumes", "volumes")]

    def volume_resize(self, volume_id: str, *, size_gb: int, region: str) -> Action:
        """Upwards only; the file system on it has to be grown on the machine. Raises: CloudNotFound."""
        body = {"type": "resize", "size_gigabytes": size_gb, "region": region}
        return _read(Action, self._json("POST", f"/v2/volumes/{volume_id}/actions", body)["action"])

    # --- Firewalls

    def tag_create(self, name: str) -> None:
        """Harmless where it exists."""
        self._json("POST", "/v2/tags", {"name": name})

    def firewalls(self) -> list[Firewall]:
        return [_read(Firewall, data) for data in self._pages("/v2/firewalls", "firewalls")]

    def firewall_create(self, *, name: str, tags: list[str], rules: dict[str, Any]) -> Firewall:
        """The tags must exist. `rules`: inbound_rules and outbound_rules."""
        answer = self._json("POST", "/v2/firewalls", {"name": name, "tags": tags, **rules})
        return _read(Firewall, answer["firewall"])

    def firewall_replace(self, firewall_id: str, *, name: str, tags: list[str], rules: dict[str, Any]) -> None:
        """All of it: what is left out is gone. Raises: CloudNotFound."""
        self._json("PUT", f"/v2/firewalls/{firewall_id}", {"name": name, "tags": tags, **rules})

    # --- Catalogue and account

    def sizes(self) -> list[Size]:
        return [_read(Size, data) for data in self._pages("/v2/sizes", "sizes")]

    def regions(self) -> list[Region]:
        return [_read(Region, data) for data in self._pages("/v2/regions", "regions")]

    def account_check(self) -> None:
        """Does the token work: returns, or raises."""
        self._json("GET", "/v2/account")

    def is_permitted(self, method: str, path: str) -> bool:
        """Does the token's scope allow such a request. It is made, with an empty body if it has one: only for those
        that can't take effect. Raises: CloudUnreachable, CloudThrottled, and CloudRejected for a token that is none.
        """
        try:
            self._send(method, path, body=None if method in REPEATABLE else {})
        except CloudNotFound:
            return True
        except CloudRejected as error:
            if error.status == 401:
                raise
            return error.status != 403
        return True

    # --- Requests

    def _pages(self, path: str, key: str, query: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Every object of a list, page after page, by the `next` links."""
        answer = self._json("GET", path, query={**(query or {}), "per_page": PAGE_SIZE})
        while True:
            yield from answer[key]
            following = ((answer.get("links") or {}).get("pages") or {}).get("next")
            if not following:
                return
            parts = urlsplit(following)
            answer = self._json("GET", f"{parts.path}?{parts.query}")  # on our base URL, whatever host the link names

    def _delete(self, path: str, query: dict[str, Any] | None = None) -> None:
        with suppress(CloudNotFound):  # gone already: that is what was wanted
            self._send("DELETE", path, query=query)

    def _json(
        self, method: str, path: str, body: dict[str, Any] | None = None, query: dict[str, Any] | None = None
    ) -> Any:
        response = self._send(method, path, body=body, query=query)
        try:
            return response.json()
        except ValueError as error:
            raise CloudUnreachable(f"{method} {path}: the answer is no JSON", status=response.status_code) from error

    def _send(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, query: dict[str, Any] | None = None
    ) -> requests.Response:
        repeats = self._retries if method in REPEATABLE else 0
        for pause_s in (RETRY_FIRST_S * 2**number for number in range(repeats)):
            try:
                return self._send_once(method, path, body=body, query=query)
            except CloudUnreachable:
                time.sleep(pause_s)
        return self._send_once(method, path, body=body, query=query)

    def _send_once(
        self, method: str, path: str, *, body: dict[str, Any] | None, query: dict[str, Any] | None
    ) -> requests.Response:
        url = urljoin(self._base_url + "/", path.lstrip("/"))
        self._seen.request_id = ""
        if self._gate is not None:
            self._gate()
        began, status = time.monotonic(), None
        try:
            response = self._session.request(
                method,
                url,
                params=query,
                json=body,
                timeout=self._timeouts_s,
                allow_redirects=False,
            )
            status = response.status_code
            self._seen.request_id = response.headers.get("x-request-id", "")
            self._seen.clock_offset_s = _clock_offset_s(response)
        except requests.RequestException as error:
            # Not the exception's own text: it can hold the request with its headers.
            raise CloudUnreachable(f"{method} {path}: {type(error).__name__}") from None
        finally:
            if self._on_call is not None:
                self._on_call(method, path, status, time.monotonic() - began)
        if response.ok and status < 300:
            return response
        raise self._refusal(method, path, response)

    @staticmethod
    def _refusal(method: str, path: str, response: requests.Response) -> Exception:
        try:
            told = response.json()
        except ValueError:
            told = {}  # a gateway's page
        told = told if isinstance(told, dict) else {}
        message = str(told.get("message") or told.get("error") or response.reason)[:200]
        request_id = str(told.get("request_id") or response.headers.get("x-request-id") or "")
        text = f"{method} {path.partition('?')[0]}: {response.status_code} {message}"
        if response.status_code == 404:
            return CloudNotFound(text, status=404, request_id=request_id)
        if response.status_code == 429:
            return CloudThrottled(text, retry_after_s=_retry_after_s(response), request_id=request_id)
        if response.status_code >= 500 or response.status_code < 400:
            return CloudUnreachable(text, status=response.status_code, request_id=request_id)
        return CloudRejected(text, status=response.status_code, request_id=request_id)


class _Readable(Protocol[T_co]):
    @classmethod
    def parse(cls, data: dict[str, Any]) -> T_co: ...


def _read(kind: type[_Readable[T_co]], data: Any) -> T_co:
    """An object of an answer. Raises: CloudUnreachable, where it isn't what the specification says."""
    try:
        return kind.parse(data)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CloudUnreachable(f"an answer can't be read as {kind.__name__}: {type(error).__name__}") from error


def _clock_offset_s(response: requests.Response) -> float | None:
    try:
        told = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
    # It was cut to a second, and read in the middle between question and answer.
    return time.time() - response.elapsed.total_seconds() / 2 - (told + 0.5)


def _retry_after_s(response: requests.Response) -> float:
    """retry-after comes with the per-minute limit only; else ratelimit-reset is the epoch second to wait for."""
    for header, base in (("retry-after", 0.0), ("ratelimit-reset", time.time())):
        try:
            return max(1.0, float(response.headers[header]) - base)
        except (KeyError, ValueError):
            continue
    return THROTTLED_DEFAULT_S
