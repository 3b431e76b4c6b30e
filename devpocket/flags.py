"""What tasks wait for, where there are many: an asyncio.Event has room for 64 waiters, 0.7 KiB, and seldom has one."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Flag:
    """As asyncio.Event: whoever waits when it is set goes on, also where it is cleared at once."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: tuple[asyncio.Future[None], ...] = ()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            if not waiter.done():  # cancelled in this turn of the loop
                waiter.set_result(None)

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> None:
        if self._is_set:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters += (waiter,)
        try:
            await waiter
        except BaseException:  # else `set` has forgotten it
            self._waiters = tuple(one for one in self._waiters if one is not waiter)
            raise


class Inbox(Generic[Item]):
    """As asyncio.Queue, for one that takes from it, and few items at a time."""

    __slots__ = ("_items", "_news")

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._news = Flag()

    def empty(self) -> bool:
        return not self._items

    def put_nowait(self, item: Item) -> None:
        self._items.append(item)
        self._news.set()

    async def get(self) -> Item:
        while not self._items:
            self._news.clear()
            await self._news.wait()
        return self._items.pop(0)
