"""A server that is told to stop: what its proxy and its clients notice (docs/operations.md, "Restarting")."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import requests

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.server import Server
from terminals.tests.homes import settled
from terminals.tests.phone import Phone

PHONES = 3
SETTINGS = {
    "SHUTDOWN_DELAY_SECONDS": "2",
    "SHUTDOWN_SPREAD_SECONDS": "0.5",
    "ACTION_WAIT_SECONDS": "20",
    "WS_CONNECTIONS_PER_USER": str(PHONES),
}


@pytest.mark.timeout(120)
async def test_a_stop_cuts_nothing_off(localcloud: LocalCloud, tmp_path: Path) -> None:
    with Server.start(localcloud.client_url, tmp_path, **SETTINGS) as server, requests.Session() as proxy:
        home, other = await settled(server), await settled(server)
        before = await asyncio.to_thread(proxy.get, f"{server.url}/health/ready", timeout=10)
        assert (before.status_code, before.json()["status"]) == (200, "ready")
        async with AsyncExitStack() as stack:
            phones = [
                await stack.enter_async_context(Phone.in_use(server, home.environment_id, home.token))
                for _ in range(PHONES)
            ]
            await phones[0].type("kept=$$; echo set-$((1+1))\r")
            await phones[0].until_shown("set-2")
            # This one's answer is held until the machine has restarted, or the server stops.
            asked = asyncio.to_thread(
                server.ask, "POST", f"/environments/{other.environment_id}/restart", token=other.token
            )
            running = asyncio.create_task(asked)
            await asyncio.to_thread(server.wait_for, other.token, other.environment_id, "restarting")
            stopping = asyncio.create_task(asyncio.to_thread(server.process.stop, limit_s=30))

            async def is_told() -> bool:
                answer = await asyncio.to_thread(proxy.get, f"{server.url}/health/ready", timeout=10)
                return bool(answer.status_code == 503 and answer.headers.get("Connection") == "close")

            async with asyncio.timeout(10):
                while not await is_told():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            # Their places are free before any of them hears of it: they come back in a moment.
            phones.append(await stack.enter_async_context(Phone.in_use(server, home.environment_id, home.token)))
            assert [await phone.until_closed() for phone in phones] == [(1012, "service restart")] * (PHONES + 1)
            assert (await running).status_code == 200
            assert await stopping == 0
        output = server.process.output()
        assert "Traceback" not in output
        assert "stop_cut_off" not in output
        await asyncio.to_thread(server.restart)
        async with Phone.in_use(server, home.environment_id, home.token) as phone:
            await phone.run('[ "$kept" = "$$" ] && echo same-$((1+1))', "same-2")
        # The row was given back, so nobody waits for the lease to end.
        await asyncio.to_thread(server.wait_for, other.token, other.environment_id, "running", limit_s=20)
