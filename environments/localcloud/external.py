"""Machines that a program runs: real ones, as far as it makes them so (docs/localcloud.md, "Machines of a program's").

The program has the last word on what there is. So each step looks first and does only what is missing, and can be begun
anew after a kill anywhere. Machines go on when the local cloud ends.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from environments.localcloud.catalog import SIZES
from environments.localcloud.fleet import CannotStart, MachineError
from environments.localcloud.messages import ApiError
from environments.localcloud.model import Droplet, Volume
from environments.localcloud.program import Program, ProgramFailed, Seen
from environments.localcloud.settings import Settings
from environments.localcloud.store import Store
from environments.localcloud.tasks import in_thread
from environments.localcloud.trees import Copy, remove_tree

log = logging.getLogger(__name__)

NO_COPIES = "The program that runs the droplets can't copy disks and volumes."
USER_DATA_FILE = "user-data"  # in a droplet's directory, while the program reads it
NAME_FILE = "name"  # in a volume's directory: what the program calls it
BROOM_MEMORY_MB = 256
AGAIN_AFTER_S = (1.0, 5.0, 15.0, 60.0)  # what can't be removed now; the last for all further tries


class ExternalMachine:
    """The runtime of one droplet. `save` keeps the droplet's record after a change."""

    def __init__(
        self, settings: Settings, program: Program, name: str, droplet: Droplet, *, save: Callable[[], None]
    ) -> None:
        self.name, self._program = name, program
        self._settings, self._droplet, self._save = settings, droplet, save
        self._is_on = False
        self._switching = asyncio.Lock()

    @property
    def is_on(self) -> bool:
        return self._is_on

    # ---- power ----

    async def boot(self, volumes: Sequence[Volume]) -> None:
        async with self._switching:
            seen, sizes = await self._look()
            if seen is None and self._droplet.prepared:
                raise self._gone()
            if seen is not None and not seen.is_on and not self._droplet.prepared:
                await self._program.destroy(self.name)  # its creation was cut short
                seen = None
            if seen is None:
                seen = await self._create(volumes)
            elif not seen.is_on:
                seen = await self._switch_on(seen, sizes, volumes)
            self._note_up(seen)
            self._droplet.prepared = True
            self._save()

    async def halt(self, *, grace_s: float = 0.0) -> None:
        async with self._switching:
            seen, _ = await self._look()
            if seen is not None and seen.is_on:
                await self._switch_off(grace_s)

    async def reboot(self, volumes: Sequence[Volume], *, grace_s: float = 0.0) -> None:
        async with self._switching:
            seen, sizes = await self._look()
            if seen is None:
                raise self._gone()
            if seen.is_on and _has_all(seen, sizes, volumes):
                self._note_up(await self._program.change("reboot", self.name, *_hard(grace_s), "--no-wait"))
                return
            if seen.is_on:
                seen = await self._switch_off(grace_s)
            self._note_up(await self._switch_on(seen, sizes, volumes))

    async def _switch_off(self, grace_s: float) -> Seen:
        seen = await self._program.change("off", self.name, *_hard(grace_s))
        self._note(seen)
        if seen.is_on:
            raise MachineError(f"{self.name} did not go off")
        return seen

    async def _switch_on(self, seen: Seen, sizes: Mapping[str, int], volumes: Sequence[Volume]) -> Seen:
        """Only a machine that is off can be given a volume of another size."""
        for name in seen.volumes:
            if not any(volume.name == name and _is_large_enough(volume, sizes) for volume in volumes):
                seen = await self._program.change("detach", self.name, name)
        for volume in volumes:
            if volume.name not in seen.volumes:
                seen = await self._program.change("attach", self.name, _spec(volume))
        return await self._program.change("on", self.name, "--no-wait")

    async def resume(self, volumes: Sequence[Volume], *, was_on: bool) -> bool:
        """As it is: if it went off meanwhile, it is off."""
        seen, _ = await self._look()
        if seen is None:
            log.error("droplet %s: its machine %s is gone", self._droplet.id, self.name)
        return self._is_on

    async def prepare_rebuild(self) -> None:
        raise MachineError(NO_COPIES)

    async def destroy(self) -> None:
        """Until it is gone: it holds the volumes."""
        async with self._switching:
            await _until_done(self._destroy, f"{self.name} could not be destroyed")
            await in_thread(remove_tree, self._directory)

    async def _destroy(self) -> None:
        seen, _ = await self._look()
        if seen is not None:
            await self._program.destroy(self.name)

    # ---- volumes ----

    async def attach(self, volume: Volume) -> None:
        async with self._switching:
            seen, _ = await self._look()
            if seen is None and self._droplet.prepared:
                raise self._gone()
            if seen is not None and volume.name not in seen.volumes:
                self._note(await self._program.change("attach", self.name, _spec(volume)))

    async def detach(self, volume: Volume) -> None:
        async with self._switching:
            seen, _ = await self._look()
            if seen is not None and volume.name in seen.volumes:
                self._note(await self._program.change("detach", self.name, volume.name))

    # ---- parts ----

    @property
    def _directory(self) -> Path:
        return self._settings.droplets_dir / str(self._droplet.id)

    async def _create(self, volumes: Sequence[Volume]) -> Seen:
        size, file = SIZES[self._droplet.size], self._directory / USER_DATA_FILE
        await in_thread(_write, file, self._droplet.user_data.encode("utf-8", "surrogatepass"))
        try:
            return await self._program.change(
                "up",
                self.name,
                *("--user-data", str(file)),
                *(word for volume in volumes for word in ("--volume", _spec(volume))),
                *("--ssh-port", str(self._settings.ssh_port), "--hostname", self._droplet.name),
                *("--memory", str(size.memory), "--cpus", str(size.vcpus), "--no-wait"),
            )
        finally:
            await in_thread(file.unlink, missing_ok=True)  # there are secrets in it

    async def _look(self) -> tuple[Seen | None, Mapping[str, int]]:
        """The machine as it is, and the sizes of all volumes in MB."""
        listing = await self._program.listing()
        seen = listing.machines.get(self.name)
        if seen is None:
            self._is_on = False
        else:
            self._note(seen)
        return seen, listing.volumes

    def _note(self, seen: Seen) -> None:
        self._is_on = seen.is_on
        if seen.ip != self._droplet.address:
            self._droplet.address = seen.ip
            self._save()

    def _note_up(self, seen: Seen) -> None:
        self._note(seen)
        if not seen.is_on:
            raise MachineError(f"{self.name} did not come on")
        if seen.ssh_port != self._settings.ssh_port:
            raise MachineError(
                f"{self.name} has its SSH port at {seen.ssh_port}, and droplets are to have {self._settings.ssh_port}"
            )

    def _gone(self) -> MachineError:
        return MachineError(f"its machine {self.name} is gone")


class ExternalFleet:
    """The machines of the program that `settings.droplet_command` names.

    Others may use the program too, so the names of ours begin with something that comes from the state directory.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._program = _program_of(settings)
        self._prefix = f"dp-{hashlib.sha256(os.fsencode(settings.state)).hexdigest()[:6]}-"
        self._machines: dict[int, ExternalMachine] = {}
        self._naming = asyncio.Lock()  # of volumes: one name is not removed and made at the same time

    @classmethod
    async def check(cls, settings: Settings) -> None:
        try:
            await _program_of(settings).listing()
        except ProgramFailed as error:
            raise CannotStart(f"the droplet command doesn't work: {error}") from error

    @classmethod
    def banner(cls, settings: Settings) -> str:
        return (
            f"This is a simulator of a cloud's API; the droplets are machines of {settings.droplet_command}, which go "
            f"on when this ends. State is in {settings.state}."
        )

    @property
    def copy(self) -> Callable[[Copy], Awaitable[int]]:
        return _refuse_copy

    async def start(self) -> None:
        droplets_dir = self._settings.droplets_dir
        droplets_dir.mkdir(mode=0o700, exist_ok=True)
        await in_thread(_remove_leftovers, droplets_dir, {str(droplet_id) for droplet_id in self._store.droplets})
        known = {self._name(droplet_id) for droplet_id in self._store.droplets}
        for name in (await self._program.listing()).machines:
            if name.startswith(self._prefix) and name not in known:
                await self._program.destroy(name)

    async def aclose(self) -> None:
        """The machines go on."""

    def machine(self, droplet: Droplet) -> ExternalMachine:
        if droplet.id not in self._machines:
            self._machines[droplet.id] = ExternalMachine(
                self._settings,
                self._program,
                self._name(droplet.id),
                droplet,
                save=lambda: self._store.keep(droplet),
            )
        return self._machines[droplet.id]

    def forget(self, droplet: Droplet) -> None:
        self._machines.pop(droplet.id, None)

    def _name(self, droplet_id: int) -> str:
        return f"{self._prefix}{droplet_id}"

    # ---- volumes: the program makes one when it is attached first ----

    async def make_volume(self, volume: Volume, content: Path) -> None:
        async with self._naming:
            taken = set((await self._program.listing()).volumes) | set((await in_thread(self._names)).values())
            if volume.name in taken:  # regions are nothing to the program
                raise ApiError(409, "a volume with that name already exists at the program that runs the droplets")
            await in_thread(_write, content / NAME_FILE, volume.name.encode())

    async def remove_volume(self, content: Path) -> None:
        await _until_done(lambda: self._remove_volume(content), f"volume {content.name} could not be removed")

    async def _remove_volume(self, content: Path) -> None:
        async with self._naming:
            name = (await in_thread(self._names)).get(content)
            if name is not None and name in (await self._program.listing()).volumes:
                await self._sweep(name)
            await in_thread(remove_tree, content)

    async def _sweep(self, volume: str) -> None:
        """The program removes volumes only together with the machine that has them: so give it to one."""
        broom = f"{self._prefix}broom"
        listing = await self._program.listing()
        if broom in listing.machines:
            await self._program.destroy(broom)
        port, memory = str(self._settings.ssh_port), str(BROOM_MEMORY_MB)
        arguments = ("--volume", volume, "--ssh-port", port, "--memory", memory, "--cpus", "1", "--no-wait")
        await self._program.change("up", broom, *arguments)
        await self._program.destroy(broom, "--with-volumes")

    def _names(self) -> Mapping[Path, str]:
        """The names of the volumes that there are, or are being removed, by their directories."""
        return {file.parent: file.read_text() for file in self._settings.volumes_dir.glob(f"*/{NAME_FILE}")}


def _program_of(settings: Settings) -> Program:
    if settings.droplet_command is None:
        raise ValueError("there is no droplet command")
    return Program(settings.droplet_command)


def _hard(grace_s: float) -> tuple[str, ...]:
    return () if grace_s else ("--hard",)


def _megabytes(volume: Volume) -> int:
    return volume.size_gigabytes * 1024


def _spec(volume: Volume) -> str:
    return f"{volume.name}:{_megabytes(volume)}"


def _write(file: Path, content: bytes) -> None:
    """Write a file that is nobody else's business, with its directory."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as target:
        target.write(content)


def _remove_leftovers(droplets_dir: Path, known: set[str]) -> None:
    for place in droplets_dir.iterdir():
        if place.name not in known:
            remove_tree(place)
        else:
            (place / USER_DATA_FILE).unlink(missing_ok=True)


def _is_large_enough(volume: Volume, sizes: Mapping[str, int]) -> bool:
    return sizes.get(volume.name, 0) >= _megabytes(volume)


def _has_all(seen: Seen, sizes: Mapping[str, int], volumes: Sequence[Volume]) -> bool:
    """Whether a machine has the volumes that it should have, and no other, in their sizes."""
    names = {volume.name for volume in volumes}
    return set(seen.volumes) == names and all(_is_large_enough(volume, sizes) for volume in volumes)


async def _refuse_copy(copy: Copy) -> int:
    raise ApiError(422, NO_COPIES)


async def _until_done(work: Callable[[], Awaitable[None]], complaint: str) -> None:
    """Try until it has worked, and log when it has not."""
    tries = 0
    while True:
        try:
            return await work()
        except MachineError as error:
            pause_s = AGAIN_AFTER_S[min(tries, len(AGAIN_AFTER_S) - 1)]
            log.error("%s, again in %g s: %s", complaint, pause_s, error)
            await asyncio.sleep(pause_s)
            tries += 1
