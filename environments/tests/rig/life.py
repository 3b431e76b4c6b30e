"""One environment's life on real machines, over our own API, and what must hold at each point of it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devpocket.testing.localcloud import SSH_PORT, LocalCloud
from devpocket.testing.processes import ROOT
from devpocket.testing.server import Server
from environments.tests.rig.login import Key, Login
from environments.tests.rig.machines import Rig
from environments.tests.rig.report import Report
from environments.tests.rig.tools import Promise
from terminals.tests import phone

# Emulated machines are 4 to 10 times slower than real ones, and there may be others beside them.
RUNNING_S, INSTALLED_S, POWER_S, TOLD_S = 600.0, 2400.0, 600.0, 240.0
POLL_S = 1.0  # the processors are the emulator's
PROGRESS, INSTALL_LOG = "/var/lib/devpocket/progress", "/var/log/devpocket/install.log"
HOME = "/home/devpocket"


class Life:
    """`account` is who owns the environment: the name is also the environment's."""

    def __init__(
        self, server: Server, cloud: LocalCloud, rig: Rig, report: Report, promise: Promise, directory: Path
    ) -> None:
        self._server, self._cloud, self._rig, self._report = server, cloud, rig, report
        self._promise, self._directory = promise, directory
        self._keys = [Key.make(directory / f"key{number}") for number in range(4)]
        self._stranger = self._keys[3]
        self._token = server.sign_up(report.template)
        self._id = self._told = ""
        self._shown: dict[str, Any] = {}

    # ---- the acts ----

    def is_created(self) -> None:
        """From the request to a terminal that answers."""
        self._add_key(self._keys[0])
        with self._report.timed("create → running"):
            self._id = self._server.create(self._token, "Rig", template_id=self._report.template)
            self._wait("running", limit_s=RUNNING_S)
        self._report.check("a terminal answers, in tmux from ~/.tmux", self._terminal_answers)
        self._report.check("the injected host key is presented at the first SSH connection", self._verified)
        self._report.check("a client that expects another host key is refused", self._other_host_key_refused)
        self._report.check("only the account's keys get in", self._stranger_refused)

    def is_installed(self) -> None:
        """What goes on behind the terminal."""
        with self._report.timed("→ installed"):
            self._wait_for_installation()
        self._report.check("cloud-init is done, without errors", self._cloud_init_done)
        self._report.check("sudo without a password", lambda: self._run("sudo -n id -u") == "0")
        self._report.check("the home is the volume", self._home_is_the_volume)
        for command, expected in self._promise.commands:
            self._report.check(command, lambda command=command, expected=expected: self._answers(command, expected))

    def is_changed(self) -> None:
        """Variables and keys, while it runs."""
        self._told = f"new '\"$HOME`\n {secrets.token_hex(4)}"
        self._set_variable("TOLD", self._told)
        self._report.check("a variable changed while it runs is known", lambda: self._knows("TOLD", self._told))
        self._add_key(self._keys[1])
        self._report.check(
            "a key added while it runs gets in", lambda: _until(lambda: self._gets_in(1), limit_s=TOLD_S)
        )
        self._mark()

    def is_stopped_and_started(self) -> None:
        with self._report.timed("stop"):
            self._act("stop", "stopped", limit_s=POWER_S)
        self._set_variable("WHILE_STOPPED", "late 'word'")
        self._add_key(self._keys[2])
        self._remove_key(self._keys[1])
        with self._report.timed("start"):
            self._act("start", "running", limit_s=POWER_S)
        self._report.check("a variable changed before is known", lambda: self._knows("TOLD", self._told))
        self._report.check(
            "a variable changed while it was stopped is known", lambda: self._knows("WHILE_STOPPED", "late 'word'")
        )
        self._report.check(
            "a key added while it was stopped gets in", lambda: _until(lambda: self._gets_in(2), limit_s=TOLD_S)
        )
        self._report.check(
            "a key removed while it was stopped doesn't", lambda: _until(lambda: not self._gets_in(1), limit_s=TOLD_S)
        )

    def is_restarted(self) -> None:
        before = self._first_boot_marks()
        booted = self._run("cat /proc/sys/kernel/random/boot_id")
        with self._report.timed("restart"):
            self._act("restart", "running", limit_s=POWER_S)
        self._report.check("it has booted anew", lambda: self._run("cat /proc/sys/kernel/random/boot_id") != booted)
        self._report.check("the home is mounted again", self._home_is_the_volume)
        self._report.check("its files are there", self._mark_is_there)
        self._report.check("a terminal answers after the restart", self._terminal_answers)
        self._report.check("keys and variables are in place", lambda: self._knows("TOLD", self._told))
        self._report.check("first-boot work was not done again", lambda: _same(before, self._first_boot_marks()))

    def is_recovered(self) -> None:
        """The machine is lost; another one gets its volume."""
        volume = self._volume_marks()
        droplet = self._shown["droplet_id"]
        with self._report.timed("loss → noticed"):
            self._cloud.ask("POST", f"/_localcloud/droplets/{droplet}/vanish")
            self._wait("error", limit_s=POWER_S)
        with self._report.timed("recover → running"):
            self._act("recover", "running", limit_s=RUNNING_S)
        self._report.check("it is another droplet", lambda: self._shown["droplet_id"] != droplet)
        self._report.check("its files are there", self._mark_is_there)
        self._report.check("nothing was formatted", lambda: _same(volume, self._volume_marks()))
        self._report.check("a terminal answers on the new machine", self._terminal_answers)
        self._report.check("keys and variables are on the new machine", lambda: self._knows("TOLD", self._told))
        with self._report.timed("→ installed again"):
            self._wait_for_installation()
        self._report.check("cloud-init is done on the new machine", self._cloud_init_done)

    def is_deleted(self) -> None:
        answer = self._server.ask("DELETE", f"/environments/{self._id}", token=self._token)
        self._report.check("it can be deleted", lambda: answer.status_code in (200, 202, 204))

        def nothing_left() -> bool:
            return self._rig.listing() == {"droplets": [], "volumes": []}

        self._report.check("nothing of it is left", lambda: _until(nothing_left, limit_s=POWER_S))

    def tell_of_the_machine(self) -> None:
        """What a person looks for when something has failed."""
        for machine in self._rig.listing()["droplets"]:
            for file in (PROGRESS, INSTALL_LOG, "/var/log/cloud-init-output.log"):
                text = self._rig.run("log", machine["name"], "--file", file).stdout
                self._report.say(f"--- the end of {file}:\n{text[-4000:]}")

    # ---- the API ----

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._server.ask(method, path, body, token=self._token)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json()

    def _act(self, action: str, *phases: str, limit_s: float) -> None:
        self._ask("POST", f"/environments/{self._id}/{action}")
        self._wait(*phases, limit_s=limit_s)

    def _wait(self, *phases: str, limit_s: float) -> None:
        if "error" not in phases:
            phases = (*phases, "error")
        give_up_at = time.monotonic() + limit_s
        while True:
            self._shown = self._ask("GET", f"/environments/{self._id}")
            if self._shown["phase"] in phases:
                break
            assert time.monotonic() < give_up_at, f"still {self._shown['phase']}: {self._shown['status_message']}"
            time.sleep(POLL_S)
        assert self._shown["phase"] != "error" or phases == ("error",), self._shown["error"]

    def _wait_for_installation(self) -> None:
        give_up_at, last = time.monotonic() + INSTALLED_S, ""
        while True:
            self._shown = self._ask("GET", f"/environments/{self._id}")
            now = json.dumps(self._shown["installation"])
            if now != last:
                self._report.say(now)
            last = now
            if self._shown["installation_completed"]:
                return
            assert not self._shown["installation"]["error"], now
            assert self._shown["phase"] == "running", self._shown["phase"]
            assert time.monotonic() < give_up_at, now
            time.sleep(POLL_S)

    def _add_key(self, key: Key) -> None:
        self._ask("POST", "/users/me/ssh-keys", {"name": key.path.name, "public_key": key.public})

    def _remove_key(self, key: Key) -> None:
        kept = self._ask("GET", "/users/me/ssh-keys")
        rows = kept["ssh_keys"] if isinstance(kept, dict) else kept
        found = next(one["id"] for one in rows if one["name"] == key.path.name)
        assert self._server.ask("DELETE", f"/users/me/ssh-keys/{found}", token=self._token).status_code == 204

    def _set_variable(self, name: str, value: str) -> None:
        self._ask("PATCH", f"/environments/{self._id}", {"environment_variables": {name: value}})

    # ---- the machine ----

    @property
    def _login(self) -> Login:
        return Login(self._directory, self._shown["droplet_ip"], SSH_PORT, self._host_key())

    def _host_key(self) -> str:
        """The key that we have injected: it is not in the API."""
        code = (
            "from environments.models import Environment;"
            f"print(Environment.objects.get(pk='{self._id}').host_public_key)"
        )
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", code],
            cwd=ROOT,
            env={**os.environ, **self._server.environment},
            check=True,
            capture_output=True,
            text=True,
        )
        return " ".join(done.stdout.strip().rpartition("\n")[2].split()[:2])

    def _run(self, command: str, key: int = 0) -> str:
        return self._login.run(command, self._keys[key])

    def _gets_in(self, key: int) -> bool:
        done = self._login.attempt("id -un", self._keys[key])
        assert done.returncode == 0 or "Permission denied" in done.stderr, done.stderr
        return done.stdout.strip() == "devpocket"

    def _root(self, command: str) -> str:
        return self._rig.as_root(self._rig.name_at(self._shown["droplet_ip"]), command).strip()

    # ---- what must hold ----

    def _terminal_answers(self) -> None:
        phone.WAIT_S = int(TOLD_S)

        async def talk() -> None:
            async with phone.Phone.in_use(self._server, self._id, self._token) as terminal:
                await terminal.type("printf 'at-%s\\n' \"$TMUX\"\r")
                await terminal.until_shown(f"at-{HOME}/.tmux/")
                await terminal.run("echo rig-$((1+1))", "rig-2")

        asyncio.run(talk())

    def _verified(self) -> bool:
        return self._run("id -un") == "devpocket"

    def _other_host_key_refused(self) -> bool:
        login = self._login
        other = Login(self._directory, login.address, login.port, " ".join(self._stranger.public.split()[:2]))
        done = other.attempt("true", self._keys[0])
        return done.returncode == 255 and "verification failed" in done.stderr

    def _stranger_refused(self) -> bool:
        done = self._login.attempt("true", self._stranger)
        return done.returncode == 255 and "Permission denied" in done.stderr

    def _cloud_init_done(self) -> None:
        status = self._root("cloud-init status --wait --long")
        assert "status: done" in status, status
        assert "recoverable_errors: {}" in status or "recoverable_errors" not in status, status  # newer ones tell them
        result = self._root("cat /run/cloud-init/result.json")
        assert json.loads(result)["v1"]["errors"] == [], result

    def _home_is_the_volume(self) -> None:
        source = self._run(f"findmnt -nro SOURCE --mountpoint {HOME}")
        device = self._root("readlink -f /dev/disk/by-id/scsi-0DO_Volume_*")
        assert source == device, f"{source} is mounted, the volume is {device}"

    def _answers(self, command: str, expected: str) -> None:
        output = self._run(f"{command} 2>&1")
        assert expected in output, output[-300:]

    def _knows(self, name: str, value: str) -> None:
        """In a new login shell, byte for byte."""
        python = f"import json, os; print(json.dumps(os.environ.get('{name}')))"
        _until(lambda: json.loads(self._run(f'python3 -c "{python}"')) == value, limit_s=TOLD_S)

    def _mark(self) -> None:
        self._run(f"echo precious > {HOME}/mine; mkdir -p {HOME}/project; date > {HOME}/project/since")

    def _mark_is_there(self) -> bool:
        return self._run(f"cat {HOME}/mine && test -s {HOME}/project/since && stat -c %U {HOME}/mine").split() == [
            "precious",
            "devpocket",
        ]

    def _first_boot_marks(self) -> str:
        """What would be different if first-boot work was done again."""
        return self._root(
            f"wc -l < {PROGRESS}; wc -l < {INSTALL_LOG}; ls -l --time-style=full-iso /var/lib/devpocket/done"
            " /var/lib/cloud/instance/sem; stat -c '%y %i' /etc/ssh/ssh_host_ed25519_key"
        )

    def _volume_marks(self) -> str:
        device = "$(readlink -f /dev/disk/by-id/scsi-0DO_Volume_*)"
        return self._root(f"dumpe2fs -h {device} 2>/dev/null | grep -E 'UUID|Filesystem created'")


def _same(before: str, after: str) -> None:
    assert before, "nothing to compare with"
    assert before == after, f"\nbefore:\n{before}\nafter:\n{after}"


def _until(holds: Callable[[], object], *, limit_s: float) -> None:
    """Wait for something that tells nobody when it happens. Raises: AssertionError, with the last trouble."""
    give_up_at = time.monotonic() + limit_s
    while True:
        trouble = "it does not become so"
        try:
            if holds():
                return
        except AssertionError as error:
            trouble = str(error)
        assert time.monotonic() < give_up_at, trouble
        time.sleep(POLL_S)
