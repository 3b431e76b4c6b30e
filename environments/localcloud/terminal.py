"""Pseudo-terminals: opening one, its size, its modes."""

import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Mapping

import asyncssh.constants as ssh

# A session leader without a terminal that opens one gets it as its controlling terminal (POSIX leaves that to the
# system; Linux does so). So the child, alone in its new session, opens its terminal by name, to read and write, since
# tmux's server draws on its client's standard input, and then becomes the command.
TAKE_TERMINAL = ("/bin/sh", "-c", 'exec "$@" <>"$0"')

# RFC 4254, section 8: opcode -> index in c_cc.
_CHARACTERS = {
    ssh.PTY_VINTR: termios.VINTR,
    ssh.PTY_VQUIT: termios.VQUIT,
    ssh.PTY_VERASE: termios.VERASE,
    ssh.PTY_VKILL: termios.VKILL,
    ssh.PTY_VEOF: termios.VEOF,
    ssh.PTY_VEOL: termios.VEOL,
    ssh.PTY_VEOL2: termios.VEOL2,
    ssh.PTY_VSTART: termios.VSTART,
    ssh.PTY_VSTOP: termios.VSTOP,
    ssh.PTY_VSUSP: termios.VSUSP,
    ssh.PTY_VREPRINT: termios.VREPRINT,
    ssh.PTY_WERASE: termios.VWERASE,
    ssh.PTY_VLNEXT: termios.VLNEXT,
    ssh.PTY_VDISCARD: termios.VDISCARD,
}
_INPUT, _OUTPUT, _LOCAL = 0, 1, 3  # places in what tcgetattr returns
_IUTF8 = 0o40000  # asm-generic/termbits.h; missing in Python's termios before 3.13
# RFC 4254, section 8, and RFC 8160 (IUTF8): opcode -> field, bit.
_FLAGS = {
    ssh.PTY_IGNPAR: (_INPUT, termios.IGNPAR),
    ssh.PTY_PARMRK: (_INPUT, termios.PARMRK),
    ssh.PTY_INPCK: (_INPUT, termios.INPCK),
    ssh.PTY_ISTRIP: (_INPUT, termios.ISTRIP),
    ssh.PTY_INLCR: (_INPUT, termios.INLCR),
    ssh.PTY_IGNCR: (_INPUT, termios.IGNCR),
    ssh.PTY_ICRNL: (_INPUT, termios.ICRNL),
    ssh.PTY_IXON: (_INPUT, termios.IXON),
    ssh.PTY_IXANY: (_INPUT, termios.IXANY),
    ssh.PTY_IXOFF: (_INPUT, termios.IXOFF),
    ssh.PTY_IMAXBEL: (_INPUT, termios.IMAXBEL),
    ssh.PTY_IUTF8: (_INPUT, _IUTF8),
    ssh.PTY_ISIG: (_LOCAL, termios.ISIG),
    ssh.PTY_ICANON: (_LOCAL, termios.ICANON),
    ssh.PTY_ECHO: (_LOCAL, termios.ECHO),
    ssh.PTY_ECHOE: (_LOCAL, termios.ECHOE),
    ssh.PTY_ECHOK: (_LOCAL, termios.ECHOK),
    ssh.PTY_ECHONL: (_LOCAL, termios.ECHONL),
    ssh.PTY_NOFLSH: (_LOCAL, termios.NOFLSH),
    ssh.PTY_TOSTOP: (_LOCAL, termios.TOSTOP),
    ssh.PTY_IEXTEN: (_LOCAL, termios.IEXTEN),
    ssh.PTY_ECHOCTL: (_LOCAL, termios.ECHOCTL),
    ssh.PTY_ECHOKE: (_LOCAL, termios.ECHOKE),
    ssh.PTY_OPOST: (_OUTPUT, termios.OPOST),
    ssh.PTY_ONLCR: (_OUTPUT, termios.ONLCR),
    ssh.PTY_OCRNL: (_OUTPUT, termios.OCRNL),
    ssh.PTY_ONOCR: (_OUTPUT, termios.ONOCR),
    ssh.PTY_ONLRET: (_OUTPUT, termios.ONLRET),
}
_NO_CHARACTER = 255  # RFC 4254: this one is switched off


def set_size(fd: int, size: tuple[int, int, int, int]) -> None:
    """Tell a terminal its size: columns, rows, and both in pixels. Whoever is in it gets SIGWINCH."""
    columns, rows, width, height = (min(max(value, 0), 0xFFFF) for value in size)
    with contextlib.suppress(OSError):  # it has just gone
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))


def open_terminal(size: tuple[int, int, int, int], modes: Mapping[int, int]) -> tuple[int, int]:
    """A new pseudo-terminal with the client's size and modes; returns the master (non-blocking) and the slave."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    set_size(slave, size)
    attributes = termios.tcgetattr(slave)
    attributes[_INPUT] |= _IUTF8  # so that erasing takes a whole character; a client may say otherwise
    for opcode, value in modes.items():
        if opcode in _CHARACTERS:
            character = b"\0" if value == _NO_CHARACTER else bytes([value & 0xFF])
            attributes[6][_CHARACTERS[opcode]] = character
        elif opcode in _FLAGS:
            field, bit = _FLAGS[opcode]
            attributes[field] = attributes[field] | bit if value else attributes[field] & ~bit
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    return master, slave
