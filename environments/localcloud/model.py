"""The records that outlive a restart: plain data, one dataclass each, stored as JSON."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

# Times are Unix seconds.


@dataclass(kw_only=True)
class Key:
    """A public key of the account."""

    kind: ClassVar[str] = "key"
    id: int
    name: str
    public_key: str
    fingerprint: str  # MD5 with colons, as the specification's examples have it


@dataclass(kw_only=True)
class Droplet:
    """A machine, as the API knows it. What is on its disk is the disk's own business."""

    kind: ClassVar[str] = "droplet"
    id: int
    name: str
    region: str
    size: str
    image: int  # a public image, or a snapshot
    created_at: float
    ready_at: float  # when it becomes active, unless `stuck`
    status: str = "new"  # new, active, off
    tags: list[str] = field(default_factory=list)
    features: list[str] = field(default_factory=list)
    vpc_uuid: str = ""
    user_data: str = ""
    root_keys: list[str] = field(default_factory=list)  # the account keys named at creation
    address: str | None = None
    tmux_dir: str | None = None
    stuck: bool = False  # a fault: it stays `new` for ever
    prepared: bool = False  # its disk has been written
    played: int = 0  # how many of the user-data's commands have been played
    installed: bool = False  # the first boot is over
    listed_at: float = 0.0  # a fault: when it comes into lists
    disk: int = 0  # GB; 0, in what older versions stored, is what its size has


@dataclass(kw_only=True)
class Volume:
    """A block storage volume; its content is a directory that outlives its droplets."""

    kind: ClassVar[str] = "volume"
    id: str
    name: str
    region: str
    size_gigabytes: int
    created_at: float
    description: str = ""
    filesystem_type: str = ""
    filesystem_label: str = ""
    tags: list[str] = field(default_factory=list)
    droplet_id: int | None = None  # also set while that droplet is `new`, or gone less than `detach_s` ago
    frees_at: float | None = None  # set when its droplet was destroyed
    listed_at: float = 0.0


@dataclass(kw_only=True)
class Snapshot:
    """A copy of a droplet's disk, which is a private image too, or of a volume; its content is a directory."""

    kind: ClassVar[str] = "snapshot"
    id: str  # of a droplet's an integer's digits, of a volume's a UUID
    name: str
    region: str
    created_at: float
    resource_type: str  # droplet, volume
    resource_id: str
    min_disk_size: int
    size_gigabytes: float
    tags: list[str] = field(default_factory=list)
    distribution: str = ""  # of a droplet's
    filesystem_type: str = ""  # of a volume's, and so the next
    filesystem_label: str = ""
    booted_by: int | None = None  # the droplet whose first boot this disk has seen
    listed_at: float = 0.0
    deleted: bool = False  # gone for the API; kept because a droplet still names it as its image


@dataclass(kw_only=True)
class Firewall:
    """Rules for droplets, shown but not enforced."""

    kind: ClassVar[str] = "firewall"
    id: str
    name: str
    created_at: float
    inbound_rules: list[dict[str, Any]] = field(default_factory=list)
    outbound_rules: list[dict[str, Any]] = field(default_factory=list)
    droplet_ids: list[int] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    changes: dict[str, bool] = field(default_factory=dict)  # the last ones: droplet id: whether it is removed
    in_force_at: float = 0.0


@dataclass(kw_only=True)
class Tag:
    """A name for a group of resources; who is in the group stands in the resources."""

    kind: ClassVar[str] = "tag"
    id: str  # the name, in the case in which it was first given
    last: dict[str, str] = field(default_factory=dict)  # resource type: id of the last one tagged


@dataclass(kw_only=True)
class Action:
    """A change that takes time, of a droplet or of a volume."""

    kind: ClassVar[str] = "action"
    id: int
    type: str
    started_at: float
    resource_type: str  # droplet, volume
    region: str
    status: str = "in-progress"  # in-progress, completed, errored
    completed_at: float | None = None
    droplet_id: int | None = None
    volume_id: str | None = None
    fails: bool = False  # a fault: it ends as errored, and changes nothing
    hangs: bool = False  # a fault: it does not end, and changes nothing
    details: dict[str, Any] = field(default_factory=dict)  # what was asked for, as the type has it


ALL_PLAYED = 10**6  # for Droplet.played: more commands than fit into 64 KiB of user-data

Record = Key | Droplet | Volume | Snapshot | Firewall | Tag | Action
RECORD_TYPES: tuple[type[Record], ...] = (Key, Droplet, Volume, Snapshot, Firewall, Tag, Action)

Listed = TypeVar("Listed", Droplet, Volume, Snapshot)


def listed(records: Iterable[Listed]) -> list[Listed]:
    """Those records that can be in lists by now."""
    now = time.time()
    return [record for record in records if record.listed_at <= now]
