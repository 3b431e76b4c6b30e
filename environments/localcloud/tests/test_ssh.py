"""Droplets as SSH servers: sessions, terminals, SFTP, forwarding."""

import asyncio
import hashlib
import re
from pathlib import Path

import asyncssh
import pytest

from environments.localcloud.processes import find_pids
from environments.localcloud.settings import Settings
from environments.localcloud.tests.conftest import (
    HOME_MOUNT,
    Api,
    Box,
    Login,
    boot,
    eventually,
    faster,
    subprocess_cloud,
)

MIB = 1024 * 1024


async def read_until(process: "asyncssh.SSHClientProcess[bytes]", end: bytes) -> bytes:
    """What comes up to and with `end`."""
    data = b""
    async with asyncio.timeout(10):
        while end not in data:
            more = await process.stdout.read(65536)
            assert more, data
            data += more
    return data


async def test_the_injected_host_key_is_presented(box: Box) -> None:
    async with box.connect(server_host_key_algs=["ssh-ed25519"]) as connection:
        assert connection.get_server_host_key() == box.login.host_key.convert_to_public()
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await box.connect(known_hosts=([Login().host_key.convert_to_public()], [], []))


async def test_only_the_right_key_and_user_get_in(box: Box) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    for more in ({"client_keys": [stranger]}, {"username": "nobody"}, {"username": "root"},
                 {"client_keys": None, "password": "devpocket"}):  # fmt: skip
        with pytest.raises(asyncssh.PermissionDenied):
            await box.connect(**more)


async def test_keys_are_read_at_each_login_from_the_file_that_sshd_is_told_of(
    api: Api, settings: Settings, login: Login
) -> None:
    files = [
        {"path": "/etc/devpocket/authorized_keys", "content": login.public() + "\n"},
        {
            "path": "/etc/ssh/sshd_config.d/10-devpocket.conf",
            "content": "AuthorizedKeysFile /etc/devpocket/authorized_keys .ssh/authorized_keys\n",
        },
    ]
    user_data = login.user_data(users=[{"name": "devpocket", "groups": "users"}], write_files=files)
    box = await boot(api, settings.state, login, user_data=user_data)
    async with box.connect() as connection:
        await connection.run("echo '# nobody' > ${DEVPOCKET_ROOT}/etc/devpocket/authorized_keys", check=True)
    with pytest.raises(asyncssh.PermissionDenied):
        await box.connect()
    (box.disk / "home/devpocket/.ssh/authorized_keys").write_text(login.public())
    async with box.connect():
        pass


async def test_a_shell_has_a_terminal_that_follows_the_window(box: Box) -> None:
    async with box.connect() as connection:
        process = await connection.create_process(term_type="xterm-256color", term_size=(100, 30), encoding=None)
        await read_until(process, b"devpocket@box:~")
        process.stdin.write(b"stty size; echo $TERM; shopt -q login_shell && echo login; tty\r")
        shown = await read_until(process, b"/dev/pts/")
        assert b"30 100\r\nxterm-256color\r\nlogin\r\n" in shown
        process.change_terminal_size(132, 50)
        process.stdin.write(b"stty size\r")
        await read_until(process, b"50 132\r\n")
        process.stdin.write(b"sh -c 'echo sleep$((1+1)); exec sleep 600'\r")
        await read_until(process, b"sleep2\r\n")
        process.stdin.write(b"\x03")
        await read_until(process, b"devpocket@box:~")
        process.stdin.write(b"echo alive$((1+1)); exit 7\r")
        await read_until(process, b"alive2\r\n")
        assert (await process.wait()).exit_status == 7


async def test_terminal_modes_of_the_client_are_taken_over(box: Box) -> None:
    modes = {asyncssh.PTY_VINTR: 24, asyncssh.PTY_ECHO: 0, asyncssh.PTY_VSUSP: 255}
    async with box.connect() as connection:
        result = await connection.run("stty -a", term_type="vt100", term_modes=modes)
    assert re.search(r"intr = \^X;.*susp = <undef>;.* -echo ", result.stdout, re.DOTALL)


async def test_commands_without_terminal(box: Box) -> None:
    async with box.connect() as connection:
        result = await connection.run("cat; echo err >&2; exit 3", input="in")
        assert (result.stdout, result.stderr, result.exit_status) == ("in", "err\n", 3)
        result = await connection.run("kill -TERM $$")
        assert result.exit_signal[0] == "TERM"
        process = await connection.create_process("echo up; exec sleep 600")
        await process.stdout.readline()
        process.send_signal("INT")
        assert (await process.wait()).exit_signal[0] == "INT"
        everything = bytes(range(256)) * 4096
        result = await connection.run("cat /dev/stdin", input=everything, encoding=None)
        assert result.stdout == everything
        assert (await connection.run("true", check=True)).exit_status == 0


async def test_a_terminal_passes_every_byte_and_all_output_before_the_end(box: Box, tmp_path: Path) -> None:
    data = bytes(range(256)) * 8192
    (tmp_path / "data").write_bytes(data)
    async with box.connect() as connection:
        result = await connection.run(
            f"stty raw -echo; cat {tmp_path / 'data'}; exit 5", term_type="xterm", encoding=None
        )
        assert (result.stdout, result.exit_status) == (data, 5)
        # Many short ones: the last bytes must not lose the race against the exit status.
        results = await asyncio.gather(
            *(connection.run(f"stty -opost; printf line{number}", term_type="xterm") for number in range(40))
        )
        assert [result.stdout for result in results] == [f"line{number}" for number in range(40)]


async def test_a_long_paste_into_a_slow_reader_arrives_whole(box: Box) -> None:
    paste = b"".join(b"%06d\n" % number for number in range(100_000))
    async with box.connect() as connection:
        process = await connection.create_process(
            f"stty -echo raw; echo ready; head -c {len(paste)} | (sleep 0.2; md5sum)",
            term_type="xterm",
            encoding=None,
        )
        await read_until(process, b"ready")
        process.stdin.write(paste)
        wanted = hashlib.md5(paste, usedforsecurity=False).hexdigest()
        assert (await read_until(process, b"-\n")).strip().startswith(wanted.encode())
        await process.wait()


async def test_the_environment_is_the_droplets_own(settings: Settings, login: Login) -> None:
    async with subprocess_cloud(settings) as running:
        user_data = login.user_data(
            write_files=[
                {"path": "/etc/environment", "content": 'EDITOR="vim -u"\nHOME=/elsewhere\n'},
                {"path": "/etc/profile.d/devpocket.sh", "content": "export PROJECT=blog\n"},
            ]
        )
        box = await boot(running.api, settings.state, login, user_data=user_data)
        async with box.connect() as connection:
            env = {"LANG": "de_DE.UTF-8", "LC_TIME": "C", "DEVPOCKET_X": "1", "LD_PRELOAD": "x", "DEVPOCKET_ROOT": "/"}
            result = await connection.run("env -0; pwd", env=env)
            values = dict(line.split("=", 1) for line in result.stdout.split("\0")[:-1])
            login_shell = await connection.run("bash -lc 'echo $PROJECT'")
    home = str(box.disk / "home/devpocket")
    assert result.stdout.endswith(f"\0{home}\n")
    expected = {"HOME": home, "USER": "devpocket", "LOGNAME": "devpocket", "LANG": "de_DE.UTF-8", "LC_TIME": "C",
                "DEVPOCKET_X": "1", "DEVPOCKET_ROOT": str(box.disk), "EDITOR": "vim -u"}  # fmt: skip
    assert expected.items() <= values.items()
    assert values["SHELL"].endswith("bash")
    others = {"PATH", "PWD", "SHLVL", "_", "SHELL", "TMUX_TMPDIR", "SSH_CLIENT", "SSH_CONNECTION"}
    assert set(values) <= set(expected) | others
    assert login_shell.stdout == "blog\n"


async def test_many_sessions_share_a_connection(box: Box) -> None:
    async with box.connect() as connection:
        processes = [await connection.create_process("read line; echo $line") for _ in range(80)]
        for number, process in enumerate(processes):
            process.stdin.write(f"{number}\n")
        assert [await process.stdout.readline() for process in processes] == [f"{n}\n" for n in range(80)]


async def test_a_closed_channel_hangs_up(box: Box) -> None:
    async with box.connect() as connection:
        marker = box.disk / "home/devpocket/hung-up"
        for more in ({"term_type": "xterm"}, {}):
            # Without the exec, bash would tell of the dead sleep on a closed pipe, and die of that.
            command = "exec 2>/dev/null; trap 'touch hung-up; exit' HUP; echo up; while :; do sleep 0.01; done"
            process = await connection.create_process(command, **more)
            await process.stdout.readline()
            process.close()

            async def was_hung_up() -> bool:
                return await asyncio.to_thread(marker.exists)

            assert await eventually(was_hung_up)
            marker.unlink()


async def test_a_program_that_reads_nothing_is_hung_up_too(box: Box) -> None:
    async with box.connect() as connection:
        process = await connection.create_process("trap 'echo $?; exit' HUP; sleep 600; true", encoding=None)
        process.stdin.write(b"x" * 1_000_000)  # more than a pipe holds, less than the window
        async with asyncio.timeout(5):
            await process.stdin.drain()
        process.close()

        async def has_ended() -> bool:
            return not await asyncio.to_thread(find_pids, box.disk)

        assert await eventually(has_ended)


async def test_tmux_survives_a_dropped_connection_however_deep_the_state(
    settings: Settings, validator: object, login: Login
) -> None:
    deep = faster(settings, state=settings.state.joinpath(*["a-rather-long-directory-name"] * 6))
    async with subprocess_cloud(deep, validator) as running:
        box = await boot(running.api, deep.state, login)
        async with box.connect() as connection:
            process = await connection.create_process("tmux new -A -s main", term_type="xterm", encoding=None)
            await read_until(process, b"devpocket@box")
            process.stdin.write(b"kept=yes; echo set$((1+1))\r")
            await read_until(process, b"set2")
            connection.abort()
        async with box.connect() as connection:
            process = await connection.create_process("tmux new -A -s main", term_type="xterm", encoding=None)
            await read_until(process, b"set2")  # the screen is drawn again
            process.stdin.write(b"echo $kept$((20+2))\r")
            await read_until(process, b"yes22")


async def test_sftp_sees_the_disk_as_its_root(api: Api, settings: Settings, login: Login) -> None:
    volume = await api.volume("home")
    box = await boot(api, settings.state, login, user_data=login.user_data(mounts=[HOME_MOUNT]), volumes=[volume])
    async with box.connect() as connection, connection.start_sftp_client() as sftp:
        assert await sftp.getcwd() == "/home/devpocket"
        async with sftp.open("notes.txt", "wb") as file:
            await file.write(b"x" * MIB)
        assert (await connection.run("wc -c < notes.txt")).stdout == f"{MIB}\n"
        assert "home" in await sftp.listdir("/")
        assert await sftp.realpath("/etc/../var/log") == "/var/log"
        assert await sftp.exists("/../../../../etc/hostname")
        await asyncssh.scp(__file__, (connection, "copied.py"))
        assert await sftp.exists("/home/devpocket/copied.py")
    assert (settings.state / "volumes" / volume / "notes.txt").stat().st_size == MIB


async def test_forwarding_reaches_loopback_only(box: Box) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello " + await reader.read(100))
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, box.connect() as connection:
        for host in ("localhost", "127.0.0.1"):
            reader, writer = await connection.open_connection(host, port, encoding=None)
            writer.write(b"world")
            assert await reader.read() == b"hello world"
            writer.close()
        for host in ("192.0.2.1", "example.com"):
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_connection(host, 80)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.start_server(lambda *_: None, "", 0)


# ---- back-pressure ----


class Stalled(asyncssh.SSHClientSession[bytes]):
    """Reads nothing until told to."""

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        chan.pause_reading()


def written_bytes(io: Path) -> int:
    match = re.search(r"wchar: (\d+)", io.read_text())
    return int(match[1]) if match else 0


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("term", ["xterm", None])
async def test_a_client_that_stalls_stops_the_program_and_not_the_memory(
    settings: Settings, login: Login, term: str | None
) -> None:
    async with subprocess_cloud(settings) as running:
        box = await boot(running.api, settings.state, login)
        async with box.connect() as connection:
            assert (await connection.run("yes | head -c 8000000", term_type=term)).stdout
            before = resident_bytes(running.process.pid)
            command = "echo $$ > pid; exec yes"
            channel, _ = await connection.create_session(Stalled, command, term_type=term, encoding=None)
            pid_file = box.disk / "home/devpocket/pid"

            async def pid() -> str:
                return await asyncio.to_thread(lambda: pid_file.read_text().strip() if pid_file.exists() else "")

            io = Path(f"/proc/{await eventually(pid)}/io")
            written = [-1] * 40

            async def is_blocked() -> bool:
                written.append(await asyncio.to_thread(written_bytes, io))
                return written[-1] == written[-40] and written[-1] > MIB

            assert await eventually(is_blocked)
            assert resident_bytes(running.process.pid) - before < 4 * MIB
            channel.resume_reading()

            async def goes_on() -> bool:
                return await asyncio.to_thread(written_bytes, io) > written[-1] + MIB

            assert await eventually(goes_on)
            channel.close()


async def test_a_program_that_reads_nothing_stops_the_client(settings: Settings, login: Login) -> None:
    async with subprocess_cloud(settings) as running:
        box = await boot(running.api, settings.state, login)
        async with box.connect() as connection:
            assert (await connection.run("wc -c", input="x" * 8 * MIB)).stdout == f"{8 * MIB}\n"
            before = resident_bytes(running.process.pid)
            process = await connection.create_process("sleep 600", encoding=None)
            process.stdin.write(b"y" * 24 * MIB)
            # The window is 2 MiB: no more than that, and what a pipe holds, ever leaves the client.

            async def window_is_used_up() -> bool:
                return bool(process.channel.get_write_buffer_size() <= 22 * MIB)

            assert await eventually(window_is_used_up)
            assert (await connection.run("echo alive")).stdout == "alive\n"
            assert process.channel.get_write_buffer_size() > 21 * MIB
            assert resident_bytes(running.process.pid) - before < 4 * MIB
