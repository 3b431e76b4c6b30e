"""Looking on, guest links, plain shells, recordings: the client's options against the real server."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from terminals.limits import INPUT_BYTES_BURST
from terminals.tests.client.machine import Machine
from terminals.tests.pty import SEQUENCE, Proxy, Terminal

ENDED = "This link doesn't open anything any more. Ask for a new one."
LOOKING_ON = "You only look on here; keys are not sent"


def link_of(machine: Machine, share: dict[str, Any]) -> str:
    """With the server's real address, which is in no setting of a test's server."""
    return f"{machine.server.url}/t#{share['url'].partition('#')[2]}"


def test_one_who_looks_on_sees_all_and_types_nothing(machine: Machine, shell: str) -> None:
    with (
        Terminal(machine.name, shell, **machine.variables) as owner,
        Terminal(machine.name, shell, "--view", cols=60, rows=15, **machine.variables) as viewer,
    ):
        owner.expect(r"\$|#")
        viewer.expect(LOOKING_ON)
        owner.type("echo se$((1+1))n\r")
        viewer.expect("se2n")
        viewer.type("echo ne$((1+1))ver\r")
        viewer.expect("\a")
        viewer.type("~?")
        viewer.expect("~. +leave")
        viewer.type("typed, and no line begins here~.")
        assert viewer.end() == 0
        owner.type("echo la$((1+1))st\r")
        assert "ne2ver" not in owner.expect("(?s)(.*)la2st")[1]
        owner.expect_size(80, 24)


def test_a_guest_types_by_a_link_without_any_sign_in(machine: Machine, shell: str) -> None:
    share = machine.share(mode="write", session=shell.partition("=")[2])
    with Terminal(f"--share={link_of(machine, share)}") as guest:
        guest.expect(r"\$|#")
        guest.type("echo gu$((1+1))est\r")
        guest.expect("gu2est")
        guest.type("\r~.")
        assert guest.end() == 0
        assert "Connection to My Machine closed." in guest.text
    with Terminal(machine.id, f"--share={share['token']}", DEVPOCKET_URL=machine.server.url) as guest:
        guest.expect("gu2est")
        guest.type("\r~.")
        assert guest.end() == 0
    assert share["token"] not in machine.server.process.output()


def test_a_link_that_ends_ends_its_guest_and_lets_nobody_in(machine: Machine, shell: str) -> None:
    share = machine.share(session=shell.partition("=")[2])
    with Terminal(f"--share={link_of(machine, share)}") as guest:
        guest.type("echo ne$((1+1))ver\r")  # before it is known that nothing can be typed
        assert "ne2ver" not in guest.expect(f"(?s)(.*){LOOKING_ON}")[1]
        machine.ask("DELETE", f"/terminal-shares/{share['id']}")
        assert guest.end() == 1
        assert "ne2ver" not in guest.text
        assert f"devpocket: My Machine: {ENDED}" in guest.text
    with Terminal(f"--share={link_of(machine, share)}") as guest:
        assert guest.end() == 1
        assert guest.text.strip() == f"devpocket: guest link: {ENDED}"


def test_a_plain_shell_is_without_tmux_and_lives_through_cuts(machine: Machine) -> None:
    with (
        Proxy(machine.server) as proxy,
        Terminal(machine.name, "--no-tmux", **{**machine.variables, "DEVPOCKET_URL": proxy.url}) as terminal,
    ):
        terminal.expect(r"\$|#")
        terminal.type("kept=yes; echo tmux:${TMUX:-no$((1+1))ne}:\r")
        terminal.expect("tmux:no2ne:")
        proxy.cut(stay_away=True)
        terminal.type("echo still:$kept:\r")
        terminal.expect(r"\r\n connection lost, reconnecting")  # a line among lines, since nothing is drawn again
        proxy.come_back()
        terminal.expect("still:yes:")
        terminal.type("exit\r")
        assert terminal.end() == 0


def test_a_recording_is_made_and_its_id_told(machine: Machine, shell: str) -> None:
    ended = machine.run("echo $((6*7))\nexit\n", shell, "--record")
    assert ended.returncode == 0
    told = re.fullmatch(r"devpocket: recorded as ([0-9a-f-]{36})\.\n", ended.stderr)
    assert told is not None, ended.stderr
    rows = machine.server.ask("GET", "/terminal-recordings", token=machine.token).json()
    assert told[1] in {row["id"] for row in rows}


def test_a_recording_that_is_not_wanted_is_not_made(machine: Machine, shell: str) -> None:
    profile = {"record_terminals": True}
    assert machine.server.ask("PATCH", "/users/me", profile, token=machine.token).status_code == 200
    try:
        assert machine.run("exit\n", shell, "--no-record").stderr == ""
        assert "recorded as" in machine.run("exit\n", shell).stderr
    finally:
        machine.server.ask("PATCH", "/users/me", {"record_terminals": False}, token=machine.token)


def test_a_script_that_is_too_much_at_once_is_told_so_and_arrives_whole(machine: Machine, shell: str) -> None:
    line = f"{'x' * 79}\n"
    count = INPUT_BYTES_BURST // len(line) + 500
    ended = machine.run(f"stty -echo; wc -l; exit\n{line * count}\x04", shell)
    assert ended.returncode == 0
    assert ended.stderr == "Too much at once.\n"
    assert str(count) in SEQUENCE.sub("", ended.stdout)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name an environment"),
        (["home", "--session=Not This"], "a session's name has"),
        (["home", "--session=two", "--no-tmux"], "doesn't go with --no-tmux"),
        (["--share=token", "--session=two"], "only --view goes with --share"),
        (["--share=token", "--no-tmux"], "only --view goes with --share"),
        (["--share=token", "--record"], "only --view goes with --share"),
    ],
)
def test_options_that_don_t_go_together_are_refused(arguments: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("connect", *arguments)
