"""Droplets handed to a program: a fake one that does what it is told, or else misbehaves."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import Api

FAKE = Path(__file__).parents[1] / "fake_droplet.py"
DATA = "#cloud-config\nhostname: ünïcode\n"


@dataclass
class Fake:
    """The program, from behind."""

    home: Path
    path: Path

    def state(self) -> Any:
        file = self.home / "state.json"
        return json.loads(file.read_text()) if file.exists() else {"machines": {}, "volumes": {}}

    def machine(self, droplet_id: int) -> Any:
        """What it has for a droplet, or None."""
        return next((m for name, m in self.state()["machines"].items() if name.endswith(f"-{droplet_id}")), None)

    async def has_nothing(self) -> bool:
        return bool(self.state() == {"machines": {}, "volumes": {}})

    def volumes(self) -> dict[str, int]:
        return {name: volume["size_mb"] for name, volume in self.state()["volumes"].items()}

    def misbehave(self, **commands: str) -> None:
        (self.home / "misbehave").write_text(json.dumps(commands))

    def change(self, droplet_id: int, **values: Any) -> None:
        """Change a machine behind the local cloud's back."""
        state = self.state()
        state["machines"][self.machine(droplet_id)["name"]].update(values)
        (self.home / "state.json").write_text(json.dumps(state))

    def calls(self) -> list[str]:
        """All calls but listings, without the machine's name and what they say of files."""
        lines = (self.home / "calls").read_text().splitlines()
        return [line for line in lines if line != "ls"]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    home = tmp_path / "fake"
    home.mkdir()
    path = tmp_path / "droplet"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{FAKE}" "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("FAKE_HOME", str(home))
    return Fake(home, path)


@pytest.fixture
def settings(settings: Settings, fake: Fake) -> Settings:
    return replace(settings, droplet_command=fake.path, ssh_port=2345)


@pytest.fixture
async def volume(api: Api) -> str:
    return await api.volume("home")


@pytest.fixture
async def box(api: Api, volume: str) -> int:
    """A droplet that is up, with a volume."""
    droplet_id = await api.create("box", user_data=DATA, volumes=[volume])
    await api.until_status(droplet_id, "active")
    return droplet_id


async def volume_action(api: Api, volume: str, kind: str, **details: Any) -> str:
    """How it ended."""
    action = (await api.ok("POST", f"/v2/volumes/{volume}/actions", {"type": kind, **details}))["action"]
    return str((await api.until_ended(action["id"]))["status"])
