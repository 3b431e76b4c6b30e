"""What can be set, with the defaults."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How this local cloud behaves. Times are in seconds, limits in requests; a limit of 0 means none."""

    state: Path  # absolute
    token: str
    host: str = "127.0.0.1"
    port: int = 9100
    ssh_port: int = 2222
    boot_s: float = 2.0
    install_s: float = 2.0
    action_s: float = 0.5
    detach_s: float = 1.0  # a volume comes free some seconds after its droplet's 204 (digitalocean/godo#146)
    shutdown_grace_s: float = 2.0
    # The published limits (specification, "Rate Limit").
    per_minute: int = 250
    per_hour: int = 5000
    key_lists_per_minute: int = 10
    seed: int | None = None  # of the faults that are left to chance
    droplet_command: Path | None = None  # the program that runs the droplets, instead of our simulated machines
    run_commands: frozenset[str] = field(default_factory=lambda: frozenset({"devpocket-setup"}))

    @property
    def droplets_dir(self) -> Path:
        """Where the droplets' disks are, one directory each, named by id."""
        return self.state / "droplets"

    @property
    def volumes_dir(self) -> Path:
        """Where the volumes' contents are, one directory each, named by id."""
        return self.state / "volumes"

    @property
    def snapshots_dir(self) -> Path:
        """Where the snapshots' contents are, one directory each, named by id."""
        return self.state / "snapshots"
