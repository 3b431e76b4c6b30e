"""Whole lives of environments, asked for over HTTP like a phone would, and looked at from the cloud's side."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments.tests.chaos.harness import World

PHASE_LIMIT_S = 300.0  # between two phases, killed servers and the ends of their leases included
LOOK_S = 0.3
LARGER = "s-1vcpu-2gb"


class LifeFailed(AssertionError):
    """A life that didn't go where it was going; the text says where it ended."""


@dataclass
class Life:
    """create, stop, start, snapshot, resize, hibernate, start, delete. `steps`: how far it has come."""

    world: World
    number: int
    id: str = ""
    volume_id: str = ""
    steps: list[str] = field(default_factory=list)

    @property
    def tag(self) -> str:
        return f"dp-env-{self.id}"

    def run(self) -> None:
        """From nothing to nothing. Raises: LifeFailed."""
        self._create()
        self._act("stop", "stopped", droplets=1)
        self._act("start", "running", droplets=1)
        self._snapshot()
        self._resize()
        self._act("hibernate", "stopped", droplets=0)
        self._act("start", "running", droplets=1)
        self._delete()

    # --- What is asked for

    def _create(self) -> None:
        body = {"name": f"Life {self.number}", "template_id": "ubuntu", "size": "s-1vcpu-1gb"}
        answer = self.world.ask("POST", "/environments", body, {"Idempotency-Key": uuid.uuid4().hex})
        self._expect(answer, 201)
        self.id = answer.json()["id"]
        shown = self._until("running")
        self.volume_id = shown["volume_id"]
        self._mark.write_text("precious")
        self._look(shown, droplets=1)

    def _act(self, action: str, phase: str, *, droplets: int) -> None:
        # Where a server died after it had written the row, the repeated request has no effect, or finds it done.
        self._expect(self.world.ask("POST", f"/environments/{self.id}/{action}"), 200)
        self._look(self._until(phase), droplets=droplets)
        self.steps.append(action)

    def _snapshot(self) -> None:
        self._expect(self.world.ask("POST", f"/environments/{self.id}/snapshots", {"name": "kept"}), 201, 409)
        self._wait("snapshot", self._snapshot_is_there)
        self.steps.append("snapshot")

    def _snapshot_is_there(self) -> bool:
        found = self.world.ask("GET", f"/environments/{self.id}/snapshots").json()
        if any(snapshot["status"] == "error" for snapshot in found):
            raise LifeFailed(f"{self}: a snapshot failed")
        return bool(found) and all(snapshot["status"] == "available" for snapshot in found)

    def _resize(self) -> None:
        # 409: it is being resized already; 422: it has the size already.
        self._expect(self.world.ask("POST", f"/environments/{self.id}/resize", {"size": LARGER}), 200, 409, 422)
        self._wait("resize", lambda: self._shown()["size"] == LARGER)
        self._look(self._until("running"), droplets=1)
        self.steps.append("resize")

    def _delete(self) -> None:
        if self._mark.read_text() != "precious":
            raise LifeFailed(f"{self}: the volume lost what was on it")
        self._expect(self.world.ask("DELETE", f"/environments/{self.id}"), 204, 404)
        self._wait("gone", lambda: self._at_cloud() == (0, 0, 0))
        self.steps.append("delete")

    # --- What is looked at

    @property
    def _mark(self) -> Path:
        """A file on the volume, which the local cloud keeps as a directory."""
        return self.world.state / "volumes" / self.volume_id / "mark-of-the-test"

    def _shown(self) -> dict[str, Any]:
        answer = self.world.ask("GET", f"/environments/{self.id}")
        self._expect(answer, 200)
        return dict(answer.json())

    def _at_cloud(self) -> tuple[int, int, int]:
        """Droplets, volumes and snapshots."""
        cloud = self.world.cloud
        return len(cloud.droplets(self.tag)), len(cloud.volumes(self.tag)), len(cloud.snapshots(self.tag))

    def _until(self, phase: str) -> dict[str, Any]:
        shown: dict[str, Any] = {}

        def is_there() -> bool:
            nonlocal shown
            shown = self._shown()
            if shown["phase"] == "error":
                raise LifeFailed(f"{self}: {shown['error']}")
            return bool(shown["phase"] == phase)

        self._wait(phase, is_there)
        return shown

    def _look(self, shown: dict[str, Any], *, droplets: int) -> None:
        found = self._at_cloud()[:2]
        if found != (droplets, 1):
            raise LifeFailed(f"{self}: {found} droplets and volumes instead of {(droplets, 1)}")
        if shown["volume_id"] != self.volume_id:
            raise LifeFailed(f"{self}: another volume")

    def _wait(self, what: str, is_so: Any) -> None:
        give_up_at = time.monotonic() + PHASE_LIMIT_S
        while not is_so():
            if time.monotonic() > give_up_at:
                raise LifeFailed(f"{self}: never {what}: {self._at_cloud()}")
            time.sleep(LOOK_S)

    def _expect(self, answer: Any, *statuses: int) -> None:
        if answer.status_code not in statuses:
            raise LifeFailed(f"{self}: {answer.request.method} {answer.status_code} {answer.text[:300]}")

    def __str__(self) -> str:
        return f"life {self.number} ({self.id}) after {' '.join(self.steps) or 'nothing'}"


def live(world: World, *, lives: int, at_once: int) -> list[str]:
    """Run so many lives; what went wrong with each that failed."""

    def one(number: int) -> str | None:
        try:
            Life(world, number).run()
        except AssertionError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(at_once) as threads:
        return [failure for failure in threads.map(one, range(lives)) if failure is not None]
