"""The program that runs droplets: what it is asked, and how its answers are read.

Its commands are those of `droplet` in the rig (docs/localcloud.md lists the ones used). It ends by itself; what it
starts goes on without it.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import IO, Any

from environments.localcloud.fleet import MachineError

# How long it may take. Shutting down waits a minute for the guest, and the host may have much to do.
LIMITS_S: Mapping[str, float] = {"ls": 60.0, "reboot": 240.0}
LIMIT_S = 120.0
OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024
PR_SET_PDEATHSIG = 1  # Linux, prctl(2)
_ON, _OFF = "active", "off"


@dataclass(frozen=True)
class Seen:
    """A machine as the program tells of it."""

    name: str
    is_on: bool
    ip: str
    ssh_port: int
    volumes: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """All that the program has: machines by name, and the sizes of volumes in MB."""

    machines: Mapping[str, Seen]
    volumes: Mapping[str, int]


class ProgramFailed(MachineError):
    """It ended with an error, took too long, or said what can't be understood."""


class Program:
    """The program at a path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def listing(self) -> Listing:
        """Everything there is. Raises: ProgramFailed."""
        answer = await self._ask("ls")
        try:
            machines = [_seen(one) for one in answer["droplets"]]
            volumes = {str(one["volume"]): int(one["size_mb"]) for one in answer["volumes"]}
        except (KeyError, TypeError, ValueError) as error:
            raise self._not_understood("ls", answer) from error
        return Listing({machine.name: machine for machine in machines}, volumes)

    async def change(self, command: str, name: str, *arguments: str) -> Seen:
        """Have a machine changed; returns it as it is then. Raises: ProgramFailed."""
        answer = await self._ask(command, name, *arguments)
        try:
            seen = _seen(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise self._not_understood(command, answer) from error
        if seen.name != name:
            raise self._not_understood(command, answer)
        return seen

    async def destroy(self, name: str, *arguments: str) -> None:
        """Remove a machine. Raises: ProgramFailed."""
        await self._run("destroy", name, *arguments)

    def _not_understood(self, command: str, answer: object) -> ProgramFailed:
        return ProgramFailed(f"{self.path.name} {command}: its answer is not understood: {str(answer)[:200]!r}")

    async def _ask(self, command: str, *arguments: str) -> Any:
        output = await self._run(command, *arguments)
        try:
            return json.loads(output)
        except ValueError as error:
            raise self._not_understood(command, output) from error

    async def _run(self, command: str, *arguments: str) -> bytes:
        """What it prints. Cancelled, or over its limit, it is killed; what is left then is for a later call to mend."""
        # Files, not pipes: those would stay open as long as something that it has started has them.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            try:
                code = await self._end_of([str(self.path), command, *arguments], output, errors)
            except OSError as error:
                raise ProgramFailed(f"{self.path}: {error.strerror or error}") from error
            printed, said = await asyncio.to_thread(_read, output), await asyncio.to_thread(_read, errors)
        if code is None:
            raise ProgramFailed(f"{self.path.name} {command}: not done after {_limit_s(command):g} s")
        if code != 0:
            last = said.decode(errors="replace").strip().rpartition("\n")[2]
            raise ProgramFailed(f"{self.path.name} {command}: {last[-500:] or 'it failed'} (status {code})")
        return printed

    async def _end_of(self, argv: list[str], output: IO[bytes], errors: IO[bytes]) -> int | None:
        """Its exit status, or None if it had to be killed."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            env={name: value for name, value in os.environ.items() if name != "LOCALCLOUD_TOKEN"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            preexec_fn=_end_with_us(),
        )
        try:
            async with asyncio.timeout(_limit_s(argv[1])):
                return await process.wait()
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


def _limit_s(command: str) -> float:
    return LIMITS_S.get(command, LIMIT_S)


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(OUTPUT_LIMIT_BYTES)


def _seen(answer: Any) -> Seen:
    if answer["status"] not in (_ON, _OFF):
        raise ValueError(answer["status"])
    return Seen(
        name=str(answer["name"]),
        is_on=answer["status"] == _ON,
        ip=str(IPv4Address(answer["ip"])),
        ssh_port=int(answer["ssh_port"]),
        volumes=tuple(str(name) for name in answer["volumes"]),
    )


def _end_with_us() -> Callable[[], None] | None:
    """What makes a child end when we are killed: the next run of ours is not to work beside it. Only on Linux."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # before the fork: loading takes locks
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
