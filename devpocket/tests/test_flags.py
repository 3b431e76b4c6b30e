"""Flags and inboxes do as asyncio's events and queues."""

from __future__ import annotations

import asyncio

import pytest

from devpocket.flags import Flag, Inbox


async def test_all_that_wait_go_on_when_it_is_set_also_where_it_is_cleared_at_once() -> None:
    flag = Flag()
    waiting = [asyncio.create_task(flag.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    flag.set()
    flag.clear()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    assert not flag.is_set()


async def test_nobody_waits_for_one_that_is_set() -> None:
    flag = Flag()
    flag.set()
    async with asyncio.timeout(5):
        await flag.wait()
    assert flag.is_set()


async def test_who_is_cancelled_waits_no_more_and_others_do() -> None:
    flag = Flag()
    cancelled, other = asyncio.create_task(flag.wait()), asyncio.create_task(flag.wait())
    await asyncio.sleep(0)
    cancelled.cancel()
    flag.set()  # before the cancelled one has run
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await other


async def test_items_come_in_their_order_whether_awaited_or_there() -> None:
    inbox: Inbox[int] = Inbox()
    first = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    for item in (1, 2, 3):
        inbox.put_nowait(item)
    async with asyncio.timeout(5):
        assert [await first, await inbox.get(), await inbox.get()] == [1, 2, 3]
    assert inbox.empty()


async def test_an_item_is_not_lost_with_one_who_gave_up_waiting_for_it() -> None:
    inbox: Inbox[int] = Inbox()
    gave_up = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put_nowait(1)
    gave_up.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await gave_up
        assert await inbox.get() == 1
