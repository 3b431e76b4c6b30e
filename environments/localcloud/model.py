"""The records that outlive a restart: plain data, one dataclass each, stored as JSON."""

from dataclasses import dataclass, field
from typing import ClassVar

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
    image: int
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


Record = Key | Droplet | Volume | Tag | Action
RECORD_TYPES: tuple[type[Record], ...] = (Key, Droplet, Volume, Tag, Action)
