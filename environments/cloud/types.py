"""What the cloud answers, as far as it is used here. Sizes in the units of the names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Droplet:
    """`status`: new, active, off or archive. `ip`: the public IPv4 address, None until it has one; times: ISO 8601."""

    id: int
    name: str
    status: str
    ip: str | None
    size: str
    disk_gb: int  # its own, which a resize without `disk` leaves as it is
    created_at: str
    tags: tuple[str, ...]
    volume_ids: tuple[str, ...]

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Droplet:
        # By type: the order of networks.v4 is not promised.
        public = [net["ip_address"] for net in data["networks"]["v4"] if net["type"] == "public"]
        return cls(
            id=data["id"],
            name=data["name"],
            status=data["status"],
            ip=public[0] if public else None,
            size=data["size_slug"],
            disk_gb=data["disk"],
            created_at=data["created_at"],
            tags=tuple(data["tags"]),
            volume_ids=tuple(data["volume_ids"]),
        )


@dataclass(frozen=True, slots=True)
class Volume:
    """`droplet_ids`: what it is attached to, one at most."""

    id: str
    name: str
    region: str
    size_gb: int
    created_at: str
    tags: tuple[str, ...]
    droplet_ids: tuple[int, ...]

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Volume:
        return cls(
            id=data["id"],
            name=data["name"],
            region=data["region"]["slug"],
            size_gb=data["size_gigabytes"],
            created_at=data["created_at"],
            tags=tuple(data["tags"]),
            droplet_ids=tuple(data["droplet_ids"]),
        )


@dataclass(frozen=True, slots=True)
class Action:
    """A change of a droplet or a volume. `status`: in-progress, completed or errored; no reason is ever given."""

    id: int
    kind: str
    status: str

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Action:
        return cls(id=data["id"], kind=data["type"], status=data["status"])


@dataclass(frozen=True, slots=True)
class DropletSnapshot:
    """`id` as text, as /v2/snapshots has it; as an `image` it is an integer. `min_disk_gb`: what a droplet needs."""

    id: str
    name: str
    size_gb: float
    min_disk_gb: int
    created_at: str

    @classmethod
    def parse(cls, data: dict[str, Any]) -> DropletSnapshot:
        return cls(
            id=str(data["id"]),
            name=data["name"],
            size_gb=float(data["size_gigabytes"]),
            min_disk_gb=data["min_disk_size"],
            created_at=data["created_at"],
        )


@dataclass(frozen=True, slots=True)
class Firewall:
    """`rules`: inbound and outbound as the API writes them."""

    id: str
    name: str
    tags: tuple[str, ...]
    rules: dict[str, list[dict[str, Any]]]

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Firewall:
        return cls(
            id=data["id"],
            name=data["name"],
            tags=tuple(data.get("tags") or ()),
            rules={key: list(data.get(key) or ()) for key in ("inbound_rules", "outbound_rules")},
        )


@dataclass(frozen=True, slots=True)
class Size:
    slug: str
    memory_mb: int
    vcpus: int
    disk_gb: int
    transfer_tb: float
    price_usd_per_month: float
    price_usd_per_hour: float
    regions: tuple[str, ...]
    is_available: bool
    description: str

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Size:
        return cls(
            slug=data["slug"],
            memory_mb=data["memory"],
            vcpus=data["vcpus"],
            disk_gb=data["disk"],
            transfer_tb=data["transfer"],
            price_usd_per_month=data["price_monthly"],
            price_usd_per_hour=data["price_hourly"],
            regions=tuple(data["regions"]),
            is_available=data["available"],
            description=data["description"],
        )


@dataclass(frozen=True, slots=True)
class Region:
    slug: str
    name: str
    is_available: bool
    features: tuple[str, ...]
    sizes: tuple[str, ...]

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Region:
        return cls(
            slug=data["slug"],
            name=data["name"],
            is_available=data["available"],
            features=tuple(data["features"]),
            sizes=tuple(data["sizes"]),
        )
