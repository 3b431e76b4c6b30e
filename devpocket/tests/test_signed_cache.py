"""Redis's entries: what somebody else wrote is never unpickled."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from devpocket.signed_cache import SignedSerializer

ran: list[str] = []


class Bomb:
    def __reduce__(self) -> Any:
        return ran.append, ("boom",)


@pytest.mark.parametrize("value", [0, 7, -1, True, "", "7", b"7", 1.5, None, [], {"a": (1, "b")}])
def test_what_is_written_is_read(value: Any) -> None:
    written = SignedSerializer().dumps(value)
    if type(value) is int:
        assert written == value  # Redis counts with it
        written = str(written).encode()
    read = SignedSerializer().loads(written)
    assert (type(read), read) == (type(value), value)


def test_what_others_wrote_is_nothing_and_runs_no_code(settings: Any) -> None:
    ours, serializer = SignedSerializer().dumps(["a"]), SignedSerializer()
    bomb = pickle.dumps(Bomb())
    settings.SECRET_KEY = "another"
    theirs = SignedSerializer().dumps(Bomb())
    for data in (b"", bomb, b"\0" * 32 + bomb, ours[:32] + bomb, ours[:-1], ours + b"\0", theirs):
        assert serializer.loads(data) is None
    assert ran == []
