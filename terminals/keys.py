"""Keys by name, for phones that have none of them, as the bytes a terminal sends. Pure.

Source: "XTerm Control Sequences", PC-Style Function Keys, and terminfo's xterm-256color.
"""

from __future__ import annotations

ESC = b"\x1b"
PLAIN = {
    "esc": ESC,
    "escape": ESC,
    "tab": b"\t",
    "shift-tab": b"\x1b[Z",
    "enter": b"\r",
    "space": b" ",
    "backspace": b"\x7f",
}
CURSOR = {"up": b"A", "down": b"B", "right": b"C", "left": b"D", "home": b"H", "end": b"F"}
FUNCTION = {"f1": b"P", "f2": b"Q", "f3": b"R", "f4": b"S"}
NUMBERED = {
    "insert": 2,
    "delete": 3,
    "pgup": 5,
    "pgdn": 6,
    "f5": 15,
    "f6": 17,
    "f7": 18,
    "f8": 19,
    "f9": 20,
    "f10": 21,
    "f11": 23,
    "f12": 24,
}
MODIFIERS = {"shift": 1, "alt": 2, "ctrl": 4}
CONTROLS = "@abcdefghijklmnopqrstuvwxyz[\\]^_"  # ctrl- with one of them is its place here
CONTROL_NAMES = {"space": 0, "?": 0x7F, "backspace": 0x08, "enter": 0x0A}
NAME_MAX = 32


def key_bytes(name: str, *, application_cursor: bool = False) -> bytes | None:
    """What the key sends, with its modifiers ("ctrl-c", "alt-left", "ctrl-shift-f5"); None for a key there is not.

    `application_cursor`: the program has asked for the other form of the cursor keys (DECCKM).
    """
    if len(name) > NAME_MAX:
        return None
    modifiers = 0
    while True:  # "ctrl--" is a control key too, so the last hyphen may be the key itself
        prefix, separator, rest = name.partition("-")
        bit = MODIFIERS.get(prefix.lower())
        if not separator or not rest or bit is None or modifiers & bit or name.lower() == "shift-tab":
            break
        modifiers, name = modifiers | bit, rest
    key = name.lower() if len(name) > 1 else name
    return _modified(key, modifiers) if modifiers else _bare(key, application_cursor)


def _bare(key: str, application_cursor: bool) -> bytes | None:
    if key in PLAIN:
        return PLAIN[key]
    if key in CURSOR:
        return (b"\x1bO" if application_cursor else b"\x1b[") + CURSOR[key]
    if key in FUNCTION:
        return b"\x1bO" + FUNCTION[key]
    if key in NUMBERED:
        return b"\x1b[%d~" % NUMBERED[key]
    return _character(key)


def _modified(key: str, modifiers: int) -> bytes | None:
    final = CURSOR.get(key) or FUNCTION.get(key)
    if final is not None:
        return b"\x1b[1;%d%s" % (modifiers + 1, final)
    if key in NUMBERED:
        return b"\x1b[%d;%d~" % (NUMBERED[key], modifiers + 1)
    if modifiers & MODIFIERS["shift"]:
        if modifiers == MODIFIERS["shift"]:
            return _character(key.upper()) if len(key) == 1 else None
        return None  # the other modifiers have no form with shift for a character
    sent = PLAIN.get(key) or _character(key)
    if modifiers & MODIFIERS["ctrl"]:
        sent = _control(key)
    if sent is None:
        return None
    return ESC + sent if modifiers & MODIFIERS["alt"] else sent


def _character(key: str) -> bytes | None:
    """One printable character is the key that types it."""
    return key.encode() if len(key) == 1 and key.isprintable() else None


def _control(key: str) -> bytes | None:
    if key in CONTROL_NAMES:
        return bytes([CONTROL_NAMES[key]])
    place = CONTROLS.find(key.lower()) if len(key) == 1 else -1
    return bytes([place]) if place >= 0 else None
