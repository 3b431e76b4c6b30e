"""The command line: arguments, checks, banner, signals."""

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import resource
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from environments.localcloud.cloud import kind_of_fleet
from environments.localcloud.fleet import CannotStart
from environments.localcloud.server import running
from environments.localcloud.settings import Settings
from environments.localcloud.store import StateInUse

DEFAULTS = Settings(state=Path(), token="")
TOKEN_VARIABLE = "LOCALCLOUD_TOKEN"  # noqa: S105  the variable's name

COMMAND_VARIABLE = "LOCALCLOUD_DROPLET_COMMAND"
DESCRIPTORS = 65536


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be set; times are in seconds, and a limit of 0 means none."""
    add = parser.add_argument
    add(
        "--listen",
        default=f"{DEFAULTS.host}:{DEFAULTS.port}",
        metavar="HOST:PORT",
        help="where the API listens, on loopback only; port 0 picks a free one (%(default)s)",
    )
    add("--state", default="var/localcloud", metavar="DIR", help="where everything is kept (%(default)s)")
    add(
        "--token",
        default=None,
        help=f"what clients must present; better given in ${TOKEN_VARIABLE}, where `ps` does not show it",
    )
    add("--ssh-port", type=int, default=DEFAULTS.ssh_port, help="port of the droplets' SSH servers (%(default)s)")
    add("--boot-seconds", type=float, default=DEFAULTS.boot_s, help="from creation to `active` (%(default)s)")
    add(
        "--install-seconds",
        type=float,
        default=DEFAULTS.install_s,
        help="how long playing all of runcmd takes (%(default)s)",
    )
    add("--action-seconds", type=float, default=DEFAULTS.action_s, help="how long actions take at least (%(default)s)")
    add(
        "--detach-seconds",
        type=float,
        default=DEFAULTS.detach_s,
        help="after what time the volumes of a destroyed droplet are free (%(default)s)",
    )
    add("--rate-limit-per-minute", type=int, default=DEFAULTS.per_minute, help="requests (%(default)s)")
    add("--rate-limit-per-hour", type=int, default=DEFAULTS.per_hour, help="requests (%(default)s)")
    add(
        "--rate-limit-key-lists",
        type=int,
        default=DEFAULTS.key_lists_per_minute,
        help="listings of the SSH keys a minute (%(default)s)",
    )
    add("--seed", type=int, default=DEFAULTS.seed, help="makes the faults that are left to chance repeatable")
    add(
        "--droplet-command",
        default=None,
        metavar="PROGRAM",
        help="a program that runs the droplets, instead of simulated machines (docs/localcloud.md); also "
        f"${COMMAND_VARIABLE}",
    )
    add("--run-command", action="append", default=None, metavar="NAME",
        help="a program that runcmd really runs, if user-data wrote it and names it as a list; repeatable "
        f"({', '.join(DEFAULTS.run_commands)})")  # fmt: skip


def settings_from(options: Any) -> Settings:
    """The options as settings.

    Raises:
        CannotStart: one of them makes no sense.
    """
    host, separator, port = str(options.listen).rpartition(":")
    host = host.strip("[]")
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not separator or not port.isdigit() or int(port) > 65535 or not is_loopback:
        raise CannotStart(f"--listen {options.listen}: not a loopback address with a port, such as 127.0.0.1:9100")
    if not 0 < options.ssh_port < 65536:
        raise CannotStart(f"--ssh-port {options.ssh_port}: not a port")
    numbers = ("boot_seconds", "install_seconds", "action_seconds", "detach_seconds")
    for name in (*numbers, "rate_limit_per_minute", "rate_limit_per_hour", "rate_limit_key_lists"):
        if not 0 <= getattr(options, name) < 10**6:
            raise CannotStart(f"--{name.replace('_', '-')} {getattr(options, name)}: out of range")
    token = options.token or os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise CannotStart(f"no token: give --token or set {TOKEN_VARIABLE}, for example to {secrets.token_hex(16)}")
    command = options.droplet_command or os.environ.get(COMMAND_VARIABLE)
    return Settings(
        state=Path(options.state).resolve(),
        token=token,
        host=host,
        port=int(port),
        ssh_port=options.ssh_port,
        boot_s=options.boot_seconds,
        install_s=options.install_seconds,
        action_s=options.action_seconds,
        detach_s=options.detach_seconds,
        per_minute=options.rate_limit_per_minute,
        per_hour=options.rate_limit_per_hour,
        key_lists_per_minute=options.rate_limit_key_lists,
        seed=options.seed,
        droplet_command=Path(command).expanduser().resolve() if command else None,
        run_commands=frozenset(options.run_command or DEFAULTS.run_commands),
    )


def run(options: Any) -> int:
    """Run a local cloud until SIGINT or SIGTERM; returns the exit code. `options` is what `add_arguments` declared."""
    try:
        settings = settings_from(options)
        uvloop.run(_serve(settings))
    except (CannotStart, StateInUse) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or options.state}: {error.strerror or error}")
    except KeyboardInterrupt:  # before our own handler was in place
        pass
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(f"local cloud: {message}\n")
    return 1


def _say(message: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{message}\n")
        sys.stdout.flush()


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # Each droplet holds a listening socket, each session some descriptors; 1,024 is a usual soft limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        # What is ignored (nohup, a background job of a script) stays ignored in the shells that we start, which
        # would then not die of SIGHUP or Ctrl-C; what has a handler starts with the default there.
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    _say(kind_of_fleet(settings).banner(settings))
    async with running(settings) as cloud:
        _say(f"local cloud ready on {cloud.url}")
        await stop.wait()


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m environments.localcloud",
        description="A simulator of the DigitalOcean API v2 whose droplets are real SSH servers on loopback.",
    )
    add_arguments(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("asyncssh").setLevel(logging.ERROR)  # it warns of every client that goes away
    return run(options)
