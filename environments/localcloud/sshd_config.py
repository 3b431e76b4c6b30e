"""Which files have the keys that may log in, as OpenSSH reads it from sshd_config(5)."""

import re
from collections.abc import Iterable

DEFAULT_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
_LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*)")
_WORD = re.compile(r'"([^"]*)"|(?<!\S)#.*|([^\s"]+)')
_TOKEN = re.compile(r"%(.)")


def authorized_keys_files(texts: Iterable[str]) -> tuple[str, ...]:
    """The AuthorizedKeysFile that holds in these files, in their order: the first one given wins.

    What follows a `Match` is for some connections only, up to the end of its file, and left out, but for `Match all`.
    """
    for text in texts:
        holds = True
        for line in text.splitlines():
            match = _LINE.fullmatch(line)
            if match is None or line.lstrip().startswith("#"):
                continue
            keyword = match[1].lower()
            words = [word for found in _WORD.findall(match[2]) if (word := "".join(found))]  # a comment has neither
            if keyword == "match":
                holds = [word.lower() for word in words] == ["all"]
            elif keyword == "authorizedkeysfile" and holds and words:
                return () if words == ["none"] else tuple(words)
    return DEFAULT_FILES


def expand(file: str, *, user: str, home: str) -> str | None:
    """The path that a name of AuthorizedKeysFile stands for, or None if a %token in it is not known here."""
    values = {"%": "%", "h": home, "u": user}
    if any(token not in values for token in _TOKEN.findall(file)):
        return None
    path = _TOKEN.sub(lambda match: values[match[1]], file)
    return path if path.startswith("/") else f"{home}/{path}"
