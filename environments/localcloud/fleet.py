"""What droplets run on: the interface that has two implementations, simulated machines (machine.py) and machines of a
program's (external.py).
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from environments.localcloud.model import Droplet, Volume
from environments.localcloud.settings import Settings
from environments.localcloud.trees import Copy


class CannotStart(Exception):
    """Something outside is in the way; the text says what, in one line."""


class MachineError(Exception):
    """A machine could not be brought to where it should be; the text says why. The local cloud itself is fine."""


class Runtime(Protocol):
    """The machine of one droplet. Each call can be begun anew after it was killed in the middle."""

    @property
    def is_on(self) -> bool:
        """Whether it is switched on, as far as is known."""

    async def boot(self, volumes: Sequence[Volume]) -> None:
        """Switch on, with these volumes; the droplet has its address afterwards. Harmless when it is on already."""

    async def halt(self, *, grace_s: float = 0.0) -> None:
        """Switch off, hard if without a grace. Harmless when it is off already."""

    async def reboot(self, volumes: Sequence[Volume], *, grace_s: float = 0.0) -> None:
        """Switch off, hard if without a grace, and on."""

    async def resume(self, volumes: Sequence[Volume], *, was_on: bool) -> bool:
        """Take it up again after a restart of the local cloud; returns whether it is on."""

    async def prepare_rebuild(self) -> None:
        """Switch off because its disk is about to be replaced, if that can be done."""

    async def attach(self, volume: Volume) -> None:
        """Let it have a volume."""

    async def detach(self, volume: Volume) -> None:
        """Take a volume away."""

    async def destroy(self) -> None:
        """Switch off for good: the disk is gone afterwards, the volumes stay."""


class Fleet(Protocol):
    """All machines, and their volumes."""

    @classmethod
    async def check(cls, settings: Settings) -> None:
        """See that there can be machines.

        Raises:
            CannotStart: there can't.
        """

    @classmethod
    def banner(cls, settings: Settings) -> str:
        """What whoever starts it should know."""

    @property
    def copy(self) -> Callable[[Copy], Awaitable[int]]:
        """How disks and volumes are copied; returns the copy's bytes."""

    async def start(self) -> None:
        """Clean up what a killed run left, before anything else is done."""

    async def aclose(self) -> None:
        """The local cloud ends; what it knows stays."""

    def machine(self, droplet: Droplet) -> Runtime:
        """The runtime of a droplet."""

    def forget(self, droplet: Droplet) -> None:
        """Let go of the runtime of a droplet that was destroyed."""

    async def make_volume(self, volume: Volume, content: Path) -> None:
        """Make a new volume's content, empty."""

    async def remove_volume(self, content: Path) -> None:
        """Remove a volume's content, whose record is gone. Until that is done, `content` is there."""
