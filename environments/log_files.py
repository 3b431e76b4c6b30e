"""A machine's log files, followed: a command that gives what is new in them, and what came of it. Pure.

A file is known by its device and inode, and how far it was read by an offset in bytes, so that nothing is lost or
repeated whatever becomes of a connection. Contents travel as base64: exact bytes, which can't pose as a header.
"""

from __future__ import annotations

import base64
import codecs
import heapq
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from environments.cloud_init import PROGRESS_FILE
from environments.log_lines import (
    APPLICATION_FILES_MAX,
    CLOUD_INIT_LOG,
    INSTALL_LOG,
    Level,
    Line,
    Source,
    parse_lines,
)

LINE_MAX_BYTES = 16 * 1024  # what a line of MESSAGE_MAX_CHARS may have
BACK_BYTES = 32  # read once more with what follows: a file that has been written anew begins differently
FILES_MAX = 64  # known at a time; the machine has APPLICATION_FILES_MAX and three of ours
BEHIND_MAX_BYTES = 4 * 1024 * 1024  # further behind nobody would read it all: the end is shown
ANSWER_END = "end"

# What each file may give at once: 176 KiB together, 235 as base64, for the SSH pool keeps 256.
_LIMITS = {"cloud-init": 56 * 1024, "install": 48 * 1024, "progress": 8 * 1024, "application": 64 * 1024}

# Only a real machine is asked with sudo: on the local cloud it would be the host's.
_SCRIPT = f"""\
root="${{DEVPOCKET_ROOT:-}}"
sudo=
[ -n "$root" ] || case " $(id -nG) " in *" adm "* | *" root "*) ;; *) sudo="sudo -n" ;; esac
follow() {{
    [ -f "$3" ] || return 0
    how=
    if [ ! -r "$3" ]; then
        [ -z "$root" ] || return 0
        how="$sudo"
    fi
    set -- "$1" "$2" "$3" $(stat -L -c "%d:%i %s %Y" "$3" 2> /dev/null)
    [ $# = 6 ] || return 0
    from="${{known#* $4=}}"
    limit="$behind"
    if [ "$from" = "$known" ]; then
        from=0
        [ -z "$tail" ] || limit="$2"
    else
        from="${{from%% *}}"
        [ "$from" -le "$5" ] || from=0
    fi
    [ $(($5 - from)) -le "$limit" ] || from=$(($5 - $2))
    printf "%s %s %s %s %s\\n" "$1" "$4" "$5" "$6" "$from"
    if [ "$5" -gt "$from" ]; then
        back=$((from < {BACK_BYTES} ? from : {BACK_BYTES}))
        timeout 2 $how tail -c "+$((from - back + 1))" "$3" 2> /dev/null | head -c "$(($2 + back))" | base64 -w 0
    fi
    echo
}}
follow cloud-init {_LIMITS["cloud-init"]} "$root{CLOUD_INIT_LOG}"
follow install {_LIMITS["install"]} "$root{INSTALL_LOG}"
follow progress {_LIMITS["progress"]} "$root{PROGRESS_FILE}"
files=$(ls -td "$root"/var/log/devpocket/app*.log "$HOME"/.devpocket/logs/*.log 2> /dev/null |
    head -n {APPLICATION_FILES_MAX})
share=$(printf "%s\\n" "$files" | wc -l)
printf "%s\\n" "$files" | while IFS= read -r file; do
    follow application $(({_LIMITS["application"]} / share)) "$file"
done
echo {ANSWER_END}
"""


class IncompleteAnswer(ValueError):
    """An answer that was cut off, or isn't one. Nothing of it was taken."""


class LineSplitter:
    """Bytes as they come, to whole lines. However they are cut into pieces, the lines are the same.

    Of a longer line the first LINE_MAX_BYTES are kept. `is_inside`: the first byte belongs to a line whose beginning
    is not there, and which is left out.
    """

    def __init__(self, *, is_inside: bool = False) -> None:
        self._line = bytearray()
        self._is_inside = is_inside

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        found = []
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._keep(end)
            if not self._is_inside:
                found.append(self._text())
            self._line.clear()
            self._is_inside = False
        self._keep(rest)
        return found

    def flush(self) -> list[str]:
        """What there is of a line that will never be complete."""
        found = [self._text()] if self._line and not self._is_inside else []
        self._line.clear()
        return found

    def _keep(self, piece: bytes) -> None:
        if not self._is_inside:
            self._line += piece[: LINE_MAX_BYTES - len(self._line)]

    def _text(self) -> str:
        was_cut = len(self._line) == LINE_MAX_BYTES  # perhaps within a character
        return codecs.utf_8_decode(bytes(self._line), "replace", not was_cut)[0]


@dataclass(slots=True)
class _File:
    """`back`: its last bytes before `offset`."""

    name: str
    offset: int
    back: bytes
    splitter: LineSplitter


@dataclass(frozen=True, slots=True)
class _Section:
    """What the command gave of one file: `data` begins `len(back)` bytes before `start`."""

    name: str
    id: str
    size: int
    modified_at: datetime
    start: int
    data: bytes


@dataclass(slots=True)
class LogFiles:
    """How far one machine's files were read.

    `from_end`: the files found by the first command are read from near their ends, as long ago nobody wants to know;
    those that come later, from their beginnings.
    """

    from_end: bool
    _files: dict[str, _File] = field(default_factory=dict)  # by id; those seen last come last
    _was_read: bool = False

    def command(self) -> str:
        """What to run on the machine."""
        known = " ".join(f"{file_id}={file.offset}" for file_id, file in self._files.items())
        tail = "1" if self.from_end and not self._was_read else ""
        head = f'known=" {known} "\ntail={tail}\nbehind={BEHIND_MAX_BYTES}\n'
        return f"exec sh -c {shlex.quote(head + _SCRIPT)}"

    def take(self, answer: str, *, now: datetime) -> tuple[list[list[Line]], bool]:
        """New lines by file, each file's in its order, and whether there is more to fetch at once.

        Raises: IncompleteAnswer.
        """
        groups, taken, has_more = [], set(), False
        for section in _sections(answer, now):
            if section.id in taken:  # another name of the same file
                continue
            taken.add(section.id)
            lines, is_behind = self._take(section)
            groups.append(lines)
            has_more = has_more or is_behind
        self._was_read = True
        while len(self._files) > FILES_MAX:
            del self._files[next(iter(self._files))]
        return [lines for lines in groups if lines], has_more

    def _take(self, section: _Section) -> tuple[list[Line], bool]:
        back_size = min(BACK_BYTES, section.start)
        back, data = section.data[:back_size], section.data[back_size:]
        file = self._files.pop(section.id, None)
        lines: list[Line] = [] if file is not None else self._replaced(section)
        if file is not None and section.start != file.offset:
            lines += _ending(file, section)
            if section.start > file.offset:
                lines.append(_gap(section, section.start - file.offset))
            file = None
        elif file is not None and section.data and back != file.back:
            # Written anew, and longer than it was: what is in it now comes with the next answer.
            return [*lines, *_ending(file, section)], True
        if file is None:
            is_inside = section.start > 0 and not back.endswith(b"\n")
            file = _File(section.name, section.start, b"", LineSplitter(is_inside=is_inside))
        if section.data:
            file.back = section.data[-BACK_BYTES:]
        file.offset += len(data)
        self._files[section.id] = file
        lines += parse_lines(section.name, file.splitter.feed(data), section.modified_at)
        return lines, bool(data) and file.offset < section.size

    def _replaced(self, section: _Section) -> list[Line]:
        """The end of the file that had this one's name before; of applications', every one has a name of its own."""
        if section.name == "application":
            return []
        lines = []
        for file_id in [file_id for file_id, file in self._files.items() if file.name == section.name]:
            lines += _ending(self._files.pop(file_id), section)
        return lines


def _ending(file: _File, section: _Section) -> list[Line]:
    return parse_lines(file.name, file.splitter.flush(), section.modified_at)


def _gap(section: _Section, size: int) -> Line:
    return left_out(section.modified_at, f"{size:,} bytes of the {section.name} log")


def left_out(at: datetime, what: str) -> Line:
    """A line that says that others are missing."""
    return Line(at, Level.WARN, Source.DEVPOCKET, f"Left out: {what}")


_HEADER = re.compile(
    r"(cloud-init|install|progress|application) ([0-9]{1,20}:[0-9]{1,20}) ([0-9]{1,15}) ([0-9]{1,10}) ([0-9]{1,15})"
)


def _sections(answer: str, now: datetime) -> list[_Section]:
    """Raises: IncompleteAnswer."""
    lines = answer.split("\n")
    if lines[-2:] != [ANSWER_END, ""] or len(lines) % 2:
        raise IncompleteAnswer("the machine's answer is incomplete")
    return [_section(*pair, now) for pair in zip(lines[:-2:2], lines[1:-2:2], strict=True)]


def _section(header: str, content: str, now: datetime) -> _Section:
    found = _HEADER.fullmatch(header)
    if found is None:
        raise IncompleteAnswer("the machine's answer is none")
    name, file_id, size, modified, start = found.groups()
    modified_at = datetime.fromtimestamp(int(modified), tz=UTC) if 0 < int(modified) < now.timestamp() else now
    try:
        data = base64.b64decode(content, validate=True)
    except ValueError as error:
        raise IncompleteAnswer("the machine's answer is no base64") from error
    return _Section(name, file_id, int(size), modified_at, int(start), data)


def merged(groups: Iterable[list[Line]]) -> list[Line]:
    """The lines of all by their times, each group's in its own order, also where its times go back."""

    def keyed(group: list[Line]) -> Iterator[tuple[datetime, Line]]:
        latest = datetime.min.replace(tzinfo=UTC)
        for line in group:
            latest = max(latest, line.at)
            yield latest, line

    return [line for _, line in heapq.merge(*map(keyed, groups), key=lambda one: one[0])]
