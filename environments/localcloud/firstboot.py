"""cloud-init's part of a droplet's life: the first boot.

`prepare` does at once what cloud-init does before SSH is up. `play` then goes through the commands: it runs none of
them (they would install things on the host), but writes them into cloud-init's log at the pace that was asked for.
The exception: a command given as a list, whose program is on the list of allowed ones and was itself written by this
user-data, is really run, below the disk.
"""

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import PurePosixPath
from typing import Any

import asyncssh

from environments.localcloud.disk import Disk, OutsideDisk
from environments.localcloud.model import Droplet
from environments.localcloud.userdata import Command, File, Plan

log = logging.getLogger(__name__)

LOG_PATH = "/var/log/cloud-init-output.log"
VERSION = "24.1.3-0ubuntu3.3"  # what the log claims to be written by
DATASOURCE = "DataSourceDigitalOcean"
HOST_KEY_TYPES = ("ed25519", "ecdsa", "rsa")
RUN_LIMIT_S = 5.0
_STAGES = ("init-local", "init", "modules-config", "modules-final")


def host_key_path(key_type: str) -> str:
    """Where sshd has its key of a type."""
    return f"/etc/ssh/ssh_host_{key_type}_key"


class FirstBoot:
    """The first boot of one droplet, from the plan in its user-data. `save` keeps the droplet's record."""

    def __init__(
        self,
        droplet: Droplet,
        disk: Disk,
        plan: Plan,
        *,
        install_s: float,
        run_commands: frozenset[str],
        environment: Callable[[], Mapping[str, str]],
        save: Callable[[], None],
    ) -> None:
        self._droplet, self._disk, self._plan = droplet, disk, plan
        self._install_s, self._run_commands = install_s, run_commands
        self._environment, self._save = environment, save
        self._started = time.time()
        self._begun = {"init-local": self._started}  # when each stage began

    # ---- before SSH is up (blocks: call it in a thread) ----

    def prepare(self) -> None:
        """Write the disk: files, mounts, users, keys. In cloud-init's order; safe to repeat."""
        plan, disk = self._plan, self._disk
        disk.forget_instance()
        disk.create()
        self._log(f"Cloud-init v. {VERSION} running 'init-local' at {_now()}. Up 4.12 seconds.")
        self._log(f"Cloud-init v. {VERSION} running 'init' at {_now()}. Up 6.54 seconds.")
        self._write_files([file for file in plan.files if not file.late])
        disk.add_to_fstab(plan.mounts)
        for path in disk.mount_all():
            self._warn(f"{path} was not empty; what was there is hidden by the volume mounted over it")
        disk.write("/etc/hostname", f"{plan.hostname or self._droplet.name}\n".encode())
        keys = {"root": [*self._droplet.root_keys, *plan.root_keys]}
        for user in plan.users:
            keys.setdefault(user.name, []).extend(user.keys)
        disk.write_users(keys)
        self._write_host_keys()
        for error in plan.errors:
            self._warn(error)
        self._log(f"Cloud-init v. {VERSION} running 'modules:config' at {_now()}. Up 8.02 seconds.")
        self._status("modules-config")

    def _write_files(self, files: list[File]) -> None:
        for file in files:
            try:
                self._disk.write(file.path, file.content, mode=file.mode, append=file.append)
            except (OSError, OutsideDisk) as error:
                self._warn(f"write_files: {file.path}: {error}")

    def _write_host_keys(self) -> None:
        for key_type in HOST_KEY_TYPES:
            text = self._plan.host_keys.get(f"{key_type}_private")
            if text is None:
                continue
            try:
                key = asyncssh.import_private_key(text)
            except (asyncssh.KeyImportError, ValueError) as error:
                self._plan.errors.append(f"ssh_keys: {key_type}_private: {error}")
                continue
            path = host_key_path(key_type)
            self._disk.write(path, key.export_private_key(), mode=0o600)
            self._disk.write(f"{path}.pub", key.export_public_key(), mode=0o644)

    # ---- while the droplet is already in use ----

    async def play(self) -> None:
        """Go through what remains of the commands, and finish."""
        commands, droplet = self._plan.commands, self._droplet
        if droplet.played == 0:
            self._log(f"Cloud-init v. {VERSION} running 'modules:final' at {_now()}. Up 9.77 seconds.")
            self._write_files([file for file in self._plan.files if file.late])
        self._status("modules-final")
        pace_s = self._install_s / max(1, len(commands))
        for command in commands[droplet.played :]:
            self._log(f"+ {command.text}")
            started = time.monotonic()
            await self._run(command)
            await asyncio.sleep(max(0.0, pace_s - (time.monotonic() - started)))
            droplet.played += 1
            self._save()
        up_s = time.time() - self._started
        self._log(f"Cloud-init v. {VERSION} finished at {_now()}. Datasource {DATASOURCE}.  Up {up_s:.2f} seconds")
        self._status(None)
        result = {"v1": {"datasource": DATASOURCE, "errors": self._plan.errors}}
        self._disk.write("/run/cloud-init/result.json", json.dumps(result, indent=1).encode())
        self._disk.write("/var/lib/cloud/instance/boot-finished", f"{up_s:.2f} - {_now()} - v. {VERSION}\n".encode())
        droplet.installed = True
        self._save()

    def _program(self, command: Command) -> str | None:
        """The path on the droplet of a program that may really be run, or None."""
        if command.argv is None or PurePosixPath(command.argv[0]).name not in self._run_commands:
            return None
        first = command.argv[0]
        written = [file.path for file in self._plan.files]
        return next(
            (path for path in written if path == first or ("/" not in first and path.endswith(f"/{first}"))), None
        )

    async def _run(self, command: Command) -> None:
        program = self._program(command)
        if program is None or command.argv is None:
            return
        try:
            argv = [str(self._disk.path(program)), *command.argv[1:]]
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=dict(self._environment()), cwd=self._disk.root, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
        except (OSError, OutsideDisk) as error:
            self._warn(f"{program}: {error}")
            return
        try:
            async with asyncio.timeout(RUN_LIMIT_S):
                output, _ = await process.communicate()
        except TimeoutError:
            self._warn(f"{program}: ended after {RUN_LIMIT_S:g} seconds")
        else:
            if output:
                self._append(output if output.endswith(b"\n") else output + b"\n")
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    # ---- what it leaves behind ----

    def _append(self, data: bytes) -> None:
        try:
            self._disk.write(LOG_PATH, data, append=True)
        except (OSError, OutsideDisk):  # the user of the droplet has made it something else
            log.warning("droplet %s: %s can't be written", self._droplet.id, LOG_PATH)

    def _log(self, line: str) -> None:
        self._append(f"{line}\n".encode())

    def _warn(self, text: str) -> None:
        self._log(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S},000 - cloud-init[WARNING]: {text}")

    def _status(self, stage: str | None) -> None:
        """Write status.json; `stage` None means that all is done."""
        now = time.time()
        reached = _STAGES.index(stage) if stage else len(_STAGES)
        for name in _STAGES[: reached + 1]:
            self._begun.setdefault(name, now)
        begun = [self._begun.get(name) for name in _STAGES]
        stages: dict[str, Any] = {
            name: {
                "start": begun[number],
                "finished": (*begun[1:], now)[number] if number < reached else None,
                "errors": self._plan.errors if name == "init" else [],
                "recoverable_errors": {},
            }
            for number, name in enumerate(_STAGES)
        }
        status = {"v1": {"datasource": DATASOURCE, "stage": stage, **stages}}
        self._disk.write("/run/cloud-init/status.json", json.dumps(status, indent=1).encode())


def _now() -> str:
    return format_datetime(datetime.now(UTC))
