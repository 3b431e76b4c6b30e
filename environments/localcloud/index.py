"""Finding records by something other than their id, without looking at all of them."""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from environments.localcloud.model import Record

R = TypeVar("R", bound=Record)


class Index(Generic[R]):
    """Records by keys, each key's in the order in which they came. `keys_of` tells a record's keys."""

    def __init__(self, keys_of: Callable[[R], Iterable[Hashable]]) -> None:
        self._keys_of = keys_of
        self._rows: dict[Hashable, dict[tuple[str, int | str], R]] = {}
        self._filed: dict[tuple[str, int | str], tuple[Hashable, ...]] = {}  # the records' keys, as last filed

    def file(self, record: R) -> None:
        """Add a record, or move it to where it belongs after a change."""
        place = (record.kind, record.id)
        keys = tuple(self._keys_of(record))
        before = self._filed.get(place, ())
        if keys == before:
            return
        for key in set(before).difference(keys):
            self._take_out(key, place)
        for key in keys:
            self._rows.setdefault(key, {})[place] = record
        self._filed[place] = keys

    def remove(self, record: R) -> None:
        """Forget a record."""
        place = (record.kind, record.id)
        for key in set(self._filed.pop(place, ())):
            self._take_out(key, place)

    def _take_out(self, key: Hashable, place: tuple[str, int | str]) -> None:
        rows = self._rows[key]
        del rows[place]
        if not rows:
            del self._rows[key]

    def get(self, key: Hashable) -> list[R]:
        """The records with this key."""
        return list(self._rows.get(key, {}).values())
