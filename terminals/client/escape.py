"""`~.` and its kind, at the start of a line. Pure. Source: ssh(1), ESCAPE CHARACTERS."""

from __future__ import annotations

from enum import Enum

ESCAPE = ord("~")
LINE_ENDS = b"\r\n"


class Command(Enum):
    """What a key after the escape character asks of the client itself."""

    LEAVE = ord(".")
    HELP = ord("?")


COMMANDS = {command.value: command for command in Command}


class EscapeParser:
    """Separates what is typed for the machine from what is typed for the client.

    A `~` at the start of a line is held until the next key tells: `~~` is one `~`, an unknown one goes through as
    typed. The start of a line is the beginning, what follows Enter, and what follows a command. `anywhere`: there are
    no lines, a `~` is always held.
    """

    def __init__(self) -> None:
        self.anywhere = False
        self._at_line_start = True
        self._is_pending = False

    def feed(self, data: bytes) -> list[bytes | Command]:
        """The typed bytes and the commands among them, in order; the bytes are never empty."""
        found: list[bytes | Command] = []
        typed = bytearray()
        for byte in data:
            if self._is_pending:
                self._is_pending = False
                if (command := COMMANDS.get(byte)) is not None:
                    if typed:
                        found.append(bytes(typed))
                        typed.clear()
                    found.append(command)
                    continue
                if byte != ESCAPE:
                    typed.append(ESCAPE)
            elif (self._at_line_start or self.anywhere) and byte == ESCAPE:
                self._is_pending = True
                continue
            typed.append(byte)
            self._at_line_start = byte in LINE_ENDS
        if typed:
            found.append(bytes(typed))
        return found
