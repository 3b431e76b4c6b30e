"""The state on disk: one SQLite file, with everything of it in memory too.

SQLite's write-ahead log makes each `save` all or nothing, whenever the process is killed. One local cloud owns a
state directory at a time; a lock file, released by the kernel when its holder dies, sees to that.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

from environments.localcloud.index import Index
from environments.localcloud.model import (
    RECORD_TYPES,
    Action,
    Droplet,
    Firewall,
    Key,
    Record,
    Snapshot,
    Tag,
    Volume,
    listed,
)

Tagged = Droplet | Volume | Snapshot

# Where the numbers start, far apart, so that an id used for the wrong kind of thing is not found.
FIRST_IDS = {"droplet": 400_000_001, "action": 2_000_000_001, "key": 40_000_001, "image": 180_000_001}


UNDER_WAY = "in-progress"


def _keys_of_action(action: Action) -> list[Hashable]:
    owner = action.volume_id or action.droplet_id
    return [owner, UNDER_WAY, (UNDER_WAY, action.droplet_id)] if action.status == UNDER_WAY else [owner]


def _body(record: Record) -> str:
    """A record as JSON, without what is kept elsewhere."""
    values = dict(vars(record))
    values.pop("user_data", None)
    return json.dumps(values)


class StateInUse(Exception):
    """Another local cloud works on this state directory."""


class Store:
    """The records by kind and id. Reading is free; `save` and `delete` are on disk when they return."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateInUse(f"another local cloud uses {directory}") from None
        self.keys: dict[int, Key] = {}
        self.droplets: dict[int, Droplet] = {}
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.firewalls: dict[str, Firewall] = {}
        self.tags: dict[str, Tag] = {}
        self.actions: dict[int, Action] = {}
        self._by_kind: dict[str, dict[Any, Any]] = {
            "key": self.keys,
            "droplet": self.droplets,
            "volume": self.volumes,
            "snapshot": self.snapshots,
            "firewall": self.firewalls,
            "tag": self.tags,
            "action": self.actions,
        }
        self._actions_of: Index[Action] = Index(_keys_of_action)
        self._volumes_of: Index[Volume] = Index(lambda volume: [volume.droplet_id, (volume.name, volume.region)])
        self._snapshots_of: Index[Snapshot] = Index(lambda snapshot: [(snapshot.resource_type, snapshot.resource_id)])
        self._tags_by_name: Index[Tag] = Index(lambda tag: [tag.id.lower()])
        self._tagged: Index[Tagged] = Index(lambda resource: resource.tags)
        self._indexes: dict[str, list[Index[Any]]] = {
            "action": [self._actions_of],
            "volume": [self._volumes_of, self._tagged],
            "snapshot": [self._snapshots_of, self._tagged],
            "droplet": [self._tagged],
            "tag": [self._tags_by_name],
        }
        self._counters = dict(FIRST_IDS)
        self._used: set[str] = set()  # counters that have changed since they were written
        self._texts: set[int] = set()  # droplets whose user-data is on disk
        self._db = sqlite3.connect(directory / "state.sqlite3", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._load()

    def _load(self) -> None:
        self._db.execute("CREATE TABLE IF NOT EXISTS counters (kind TEXT PRIMARY KEY, next INTEGER NOT NULL)")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS records (kind TEXT, id TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id))"
        )
        # Apart from the droplets' records, which are written often: it never changes, and may be 64 KiB.
        self._db.execute("CREATE TABLE IF NOT EXISTS user_data (droplet INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        self._counters.update(self._db.execute("SELECT kind, next FROM counters"))
        texts = dict(self._db.execute("SELECT droplet, text FROM user_data"))
        self._texts.update(texts)
        types = {record_type.kind: record_type for record_type in RECORD_TYPES}
        for kind, body in self._db.execute("SELECT kind, body FROM records ORDER BY rowid"):
            record = types[kind](**json.loads(body))
            if isinstance(record, Droplet):
                record.user_data = texts.get(record.id, record.user_data)
            self._file(record)

    def _file(self, record: Record) -> None:
        self._by_kind[record.kind][record.id] = record
        for index in self._indexes.get(record.kind, ()):
            index.file(record)

    def next_id(self, kind: str) -> int:
        """A number never used before for this kind; it counts as used once a `save` follows."""
        number = self._counters[kind]
        self._counters[kind] = number + 1
        self._used.add(kind)
        return number

    def save(self, *records: Record) -> None:
        """Add or replace records: all of them or, when killed meanwhile, none."""
        for record in records:
            self._file(record)
        self._write(records, ())

    def keep(self, droplet: Droplet) -> None:
        """Save a droplet, if it was not deleted meanwhile."""
        if droplet.id in self.droplets:
            self.save(droplet)

    def delete(self, *records: Record, save: Iterable[Record] = ()) -> None:
        """Remove records, and save others, in one stroke."""
        changed = tuple(save)
        for record in changed:
            self._file(record)
        for record in records:
            self._by_kind[record.kind].pop(record.id, None)
            for index in self._indexes.get(record.kind, ()):
                index.remove(record)
        self._write(changed, records)

    def _write(self, changed: tuple[Record, ...], removed: tuple[Record, ...]) -> None:
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT OR REPLACE INTO counters VALUES (?, ?)", [(kind, self._counters[kind]) for kind in self._used]
            )
            for record in changed:
                if isinstance(record, Droplet) and record.id not in self._texts:
                    self._db.execute("INSERT OR REPLACE INTO user_data VALUES (?, ?)", (record.id, record.user_data))
            # An upsert keeps the row, and so the order of creation.
            self._db.executemany(
                "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                [(r.kind, str(r.id), _body(r)) for r in changed],
            )
            for record in removed:
                self._db.execute("DELETE FROM records WHERE kind = ? AND id = ?", (record.kind, str(record.id)))
                if isinstance(record, Droplet):
                    self._db.execute("DELETE FROM user_data WHERE droplet = ?", (record.id,))
        self._used.clear()
        self._texts.update(record.id for record in changed if isinstance(record, Droplet))
        self._texts.difference_update(record.id for record in removed if isinstance(record, Droplet))

    def volumes_of(self, droplet_id: int) -> list[Volume]:
        """The volumes attached to a droplet, in the order in which they came."""
        return self._volumes_of.get(droplet_id)

    def find_volume(self, name: str, region: str) -> Volume | None:
        """The volume of this name in this region: there is one at most."""
        return next(iter(self._volumes_of.get((name, region))), None)

    def snapshots_of(self, resource_type: str, resource_id: int | str) -> list[Snapshot]:
        """The snapshots of a droplet or volume that can be listed, oldest first."""
        found = self._snapshots_of.get((resource_type, str(resource_id)))
        return [snapshot for snapshot in listed(found) if not snapshot.deleted]

    def actions_of(self, *, droplet_id: int | None = None, volume_id: str | None = None) -> list[Action]:
        """The actions of a droplet or of a volume, newest first, as the API lists them.

        Those of a volume name a droplet too, but are not that droplet's.
        """
        return self._actions_of.get(volume_id or droplet_id)[::-1]

    def actions_under_way(self, droplet_id: int | None = None) -> list[Action]:
        """The actions that have not ended: all, or those of a droplet and of volumes that name it."""
        return self._actions_of.get(UNDER_WAY if droplet_id is None else (UNDER_WAY, droplet_id))

    def find_tag(self, name: str) -> Tag | None:
        """The tag of that name, in whatever case."""
        return next(iter(self._tags_by_name.get(name.lower())), None)

    def tagged(self, tag: str) -> list[Tagged]:
        """Everything that has a tag."""
        return self._tagged.get(tag)

    def tag(self, names: list[str], resource_type: str, resource_id: str) -> list[Tag]:
        """The tags of these names, made where missing, with this resource noted as the last tagged; to be saved.

        The names are changed in place to the case in which the tags exist.
        """
        found = []
        for number, name in enumerate(names):
            tag = self.find_tag(name) or Tag(id=name)
            names[number] = tag.id
            tag.last[resource_type] = resource_id
            tag.last["any"] = f"{resource_type}:{resource_id}"
            found.append(tag)
        return found

    def droplets_tagged(self, tag: str) -> list[Droplet]:
        """The droplets that have a tag."""
        return [resource for resource in self._tagged.get(tag) if isinstance(resource, Droplet)]

    def close(self) -> None:
        """Close the file and let go of the directory."""
        self._db.close()
        os.close(self._lock)
