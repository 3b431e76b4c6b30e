"""A phone that loses its network while a program prints and its user types."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from devpocket.testing.cutting import CuttingProxy, Fate
from devpocket.testing.server import Server
from devpocket.tests.web.browsing import GONE, PHONE, Visits
from devpocket.tests.web.people import machine_of, sign_up
from devpocket.tests.web.shells import open_shell
from terminals.tests.phone import Phone

# All numbers are seen at once, so that they can be held against what should be there. Ten come in a second.
COUNT = (
    "clear; for i in $(seq 1 {last}); do printf '%s ' $i; echo $i >count; sleep .1; done; "
    'echo; read -r said; echo "heard: $said"'
)


class Network:
    """What is between a phone and the server."""

    def __init__(self, server: Server) -> None:
        self._port = urlsplit(server.url).port or 0
        self.fate = Fate(self._port)
        self.proxy = CuttingProxy(lambda: self.fate)

    @property
    def url(self) -> str:
        return self.proxy.url

    def switch_off(self) -> None:
        """As in an aeroplane: connections break at once and no new ones can be made. The server isn't told."""
        self.fate = Fate(1)  # where nobody listens
        self.proxy.cut_all(server_is_told=False)

    def switch_on(self) -> None:
        self.fate = Fate(self._port)


@pytest_asyncio.fixture(loop_scope="session")
async def network(server: Server) -> AsyncIterator[Network]:
    network = Network(server)
    async with network.proxy.started():
        yield network


def counted(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text.partition("heard")[0])]


@pytest.mark.parametrize(("way", "numbers"), [("aeroplane", 300), ("tunnel", 50)])
async def test_time_without_a_network_costs_no_character_either_way(
    visits: Visits, server: Server, network: Network, way: str, numbers: int
) -> None:
    ann = await sign_up(server)
    machine = await machine_of(server, ann)
    visits.expect(GONE)
    page = await visits.open(PHONE, person=ann, url=network.url)
    addresses: list[str] = []  # of each of the terminal's WebSockets
    page.on("websocket", lambda socket: "/terminal/" in socket.url and addresses.append(socket.url))
    shell = await open_shell(page, machine)
    last = numbers + 100
    await shell.run(COUNT.format(last=last))
    await shell.shows(r"\b20 ")
    if way == "aeroplane":
        await page.context.set_offline(True)
        network.switch_off()
    else:
        network.proxy.go_dark()
    gone_at = max(counted(await shell.text()))
    await page.keyboard.type("typed in ")
    await until_counted(server, machine, ann.token, gone_at + numbers)
    await page.keyboard.type("the dark")
    assert max(counted(await shell.text())) < gone_at + 20, "the network was there all the time"
    if way == "aeroplane":
        network.switch_on()
        await page.context.set_offline(False)
    else:
        network.proxy.light_up()
        # Somebody looks at the phone again, which it doesn't take for granted that it is still connected.
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await shell.shows(rf"\b{last}( |$)", limit_s=40)
    await page.keyboard.press("Enter")
    await shell.shows(r"^heard: typed in the dark$")
    assert counted(await shell.text()) == list(range(1, last + 1))
    assert len(addresses) > 1
    assert "stream=" in addresses[-1], "it went on in the same stream, and wasn't just drawn anew"


async def until_counted(server: Server, machine: str, token: str, number: int) -> None:
    """Until the loop is that far; by another shell, on another connection."""
    async with Phone.in_use(server, machine, token, "session=clock") as clock:
        for step in range(0, number, 50):  # it waits ten seconds for one
            wanted = min(step + 50, number)
            await clock.run(
                f'until [ "$(cat count)" -ge {wanted} ]; do sleep .1; done; echo at-"{wanted}":', f"at-{wanted}:"
            )
