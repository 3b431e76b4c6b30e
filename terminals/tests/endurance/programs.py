"""What runs on the machine: programs whose whole output is known, and ones that keep what is typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

# A steady trickle, and now and then more at once than fits into a frame; some 10 KB a second, so less than a MiB is
# lost where a client is away and the server believes it to be there. The argument: a file that ends it.
_COUNT = r"""
n=0 turn=0
echo begin
until [ -e "$1" ]; do
    turn=$((turn + 1)) most=$((n + 4))
    [ $((turn % 100)) -eq 0 ] && most=$((n + 400))
    while [ $n -lt $most ]; do
        n=$((n + 1))
        printf '%07d naïve 日本語 🙂\n' $n
    done
    sleep 0.02
done
echo "over $n"
"""
# Each line as it is read, so that a file shows how far it is. "end" ends it.
_KEEP = r"""
echo reading
while IFS= read -r line; do
    [ "$line" = end ] && break
    printf '%s\n' "$line"
done > "$1"
echo kept
"""
# Lines in colours, wide characters, and things put here and there; it notes that it was run.
_DRAW = r"""
echo "$2" >> "$1"
i=0
while [ $i -lt 150 ]; do
    i=$((i + 1))
    printf '\033[3%dm<%d.%d>\033[0m naïve 日本語 🙂\n' $((i % 8)) "$2" $i
    [ $((i % 10)) -eq 0 ] && printf '\0337\033[%d;%dH\033[7m*%d*\033[0m\0338' $((i % 24 + 1)) $((i % 40 + 30)) $i
    sleep 0.01
done
printf '\033[2;5H\033[1mup here\033[0m\033[24;1H\n'
echo "drawn $2"
"""


def counter(directory: Path, stop: Path) -> str:
    """The command line of a program that counts until the file `stop` is there."""
    return _program(directory, "count", _COUNT, stop)


def counted(output: bytes) -> tuple[bytes, bytes] | None:
    """What came between the counter's first and last word, and what it has said there. None: it isn't over."""
    found = re.search(rb"\bbegin\r\n(.*)over (\d+)\r\n", output, re.DOTALL)
    if found is None:
        return None
    lines = (f"{number:07d} naïve 日本語 🙂\r\n" for number in range(1, int(found[2]) + 1))
    return found[1], "".join(lines).encode()


def keeper(directory: Path, kept: Path) -> str:
    """The command line of a program that writes each line it reads to the file `kept`."""
    return _program(directory, "keep", _KEEP, kept)


def drawer(directory: Path, ran: Path) -> str:
    """The command line, but for a number, of a program that draws for some seconds and notes the number in `ran`."""
    return _program(directory, "draw", _DRAW, ran)


def _program(directory: Path, name: str, text: str, *arguments: Path) -> str:
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}.sh"
    path.write_text(text)
    return shlex.join(["bash", str(path), *map(str, arguments)])
