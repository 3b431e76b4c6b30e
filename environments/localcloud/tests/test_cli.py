"""The command: what it says, what it refuses."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from environments.localcloud import cli
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import REPOSITORY, Login, boot, subprocess_cloud


async def refused(*arguments: str, **environment: str) -> str:
    """What the command says on stderr when it does not start."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "environments.localcloud", *arguments, cwd=REPOSITORY,
        env={**os.environ, "LOCALCLOUD_TOKEN": "t", **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(10):
        _, stderr = await process.communicate()
    assert process.returncode == 1
    assert stderr.count(b"\n") == 1
    return stderr.decode()


async def test_it_says_what_it_is_and_ends_on_a_signal(settings: Settings) -> None:
    async with subprocess_cloud(settings) as running:
        assert "simulator" in running.banner
        assert "runs on this machine" in running.banner
        async with asyncio.timeout(3):
            assert await running.end(signal.SIGINT) == 0
        assert running.process.stderr
        assert await running.process.stderr.read() == b""


async def test_what_is_in_the_way_is_told_in_one_line(settings: Settings, tmp_path: Path) -> None:
    assert "not a loopback address" in await refused("--listen", "0.0.0.0:9100")
    assert "token" in await refused(LOCALCLOUD_TOKEN="")
    assert "tmux" in await refused("--state", str(tmp_path / "other"), "--listen", "127.0.0.1:0", PATH="/nonexistent")
    (tmp_path / "file").touch()
    assert "file" in await refused("--state", str(tmp_path / "file" / "below"), "--listen", "127.0.0.1:0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "in use" in await refused("--listen", listen, "--state", str(tmp_path / "other"))
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "--ssh-port" in await refused("--ssh-port", port, "--listen", "127.0.0.1:0")
    async with subprocess_cloud(settings):
        assert "another local cloud" in await refused("--state", str(settings.state), "--listen", "127.0.0.1:0")


async def test_shells_can_be_interrupted_even_if_started_with_signals_ignored(settings: Settings) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with subprocess_cloud(settings) as running:
            login = Login()
            box = await boot(running.api, settings.state, login)
            async with box.connect() as connection:
                result = await connection.run("grep SigIgn /proc/self/status")
                ignored = int(result.stdout.split()[1], 16)
                assert ignored & 0x7FFFFFFF == 0  # signals 1 to 31; those above are the C library's and its callers'
            running.process.send_signal(signal.SIGHUP)
            await running.api.ok("GET", "/v2/sizes")
    finally:
        signal.signal(signal.SIGHUP, previous)


@pytest.mark.parametrize("arguments", [["--boot-seconds", "-1"], ["--ssh-port", "0"], ["--listen", "9100"]])
def test_senseless_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    assert cli.run(parser.parse_args(["--token", "t", *arguments])) == 1
    assert capsys.readouterr().err.startswith("local cloud: ")


def test_the_defaults_are_the_settings_defaults() -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    settings = cli.settings_from(parser.parse_args(["--token", "t"]))
    assert settings == Settings(state=Path("var/localcloud").resolve(), token="t")
