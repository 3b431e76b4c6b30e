"""A machine's logs: one shell command that gives their ends, and what each line says. Pure; any text is read.

Levels are told by words, the journal's by its priorities too. Times are what a line begins with; a line without one
has that of the line before it (or the first one after it), in a file without any that of its last change.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from enum import StrEnum

from devpocket.times import time_text
from environments.cloud_init import PROGRESS_FILE

CLOUD_INIT_LOG = "/var/log/cloud-init-output.log"
INSTALL_LOG = "/var/log/devpocket/install.log"
MESSAGE_MAX_CHARS = 4000
APPLICATION_FILES_MAX = 8


class Level(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Source(StrEnum):
    CLOUD_INIT = "cloud-init"
    INSTALL = "install"
    SYSTEM = "system"
    APPLICATION = "application"
    DEVPOCKET = "devpocket"


@dataclass(frozen=True, slots=True)
class Line:
    """`at`: aware, UTC."""

    at: datetime
    level: Level
    source: Source
    message: str

    def __str__(self) -> str:
        return f"{time_text(self.at)} [{self.level}] {self.source}: {self.message}"


# --- The command

# What each part may give: 252 KiB together, for the SSH pool keeps 256.
_LIMITS = {
    "cloud-init": 64 * 1024,
    "install": 48 * 1024,
    "progress": 8 * 1024,
    "application": 64 * 1024,
    "journal": 48 * 1024,
    "journal-error": 8 * 1024,
    "journal-warning": 12 * 1024,
}
# Only a real machine is asked with sudo, and for its journal: on the local cloud both would be the host's.
_SCRIPT_HEAD = """\
root="${DEVPOCKET_ROOT:-}"
sudo=
[ -n "$root" ] || case " $(id -nG) " in *" adm "* | *" root "*) ;; *) sudo="sudo -n" ;; esac
show() {
    [ -f "$3" ] || return 0
    how=
    if [ ! -r "$3" ]; then
        [ -z "$root" ] || return 0
        how="$sudo"
    fi
    printf "\\n%s %s %s %s\\n" "$mark" "$1" "$2" "$(stat -L -c "%Y %s" "$3")"
    timeout 2 $how tail -c "$2" "$3" 2> /dev/null
}
journal() {
    timeout 2 $sudo journalctl -q --no-pager -o short-iso -n "$3" -p "$4" 2> /dev/null | tail -c "$2" > "$tmp"
    [ -s "$tmp" ] || return 1
    printf "\\n%s %s %s 0 %s\\n" "$mark" "$1" "$2" "$(stat -c %s "$tmp")"
    cat "$tmp"
}
"""
_SCRIPT_PARTS = {
    Source.CLOUD_INIT: f'show cloud-init {_LIMITS["cloud-init"]} "$root{CLOUD_INIT_LOG}"\n',
    Source.INSTALL: f'show install {_LIMITS["install"]} "$root{INSTALL_LOG}"\n',
    Source.DEVPOCKET: f'show progress {_LIMITS["progress"]} "$root{PROGRESS_FILE}"\n',
    Source.APPLICATION: f"""\
files=$(ls -td "$root"/var/log/devpocket/app*.log "$HOME"/.devpocket/logs/*.log 2> /dev/null |
    head -n {APPLICATION_FILES_MAX})
share=$(printf "%s\\n" "$files" | wc -l)
printf "%s\\n" "$files" | while IFS= read -r file; do
    show application $(({_LIMITS["application"]} / share)) "$file"
done
""",
    Source.SYSTEM: f"""\
if [ -z "$root" ]; then
    tmp=$(mktemp)
    trap "rm -f $tmp" EXIT
    if journal journal {_LIMITS["journal"]} 500 debug; then
        journal journal-error {_LIMITS["journal-error"]} 100 err
        journal journal-warning {_LIMITS["journal-warning"]} 150 warning
    else
        show syslog {_LIMITS["journal"]} /var/log/syslog
    fi
fi
""",
}


def logs_command(mark: str, sources: Collection[Source]) -> str:
    """The command. `mark`: a word that no log can hold, since nobody could know it beforehand."""
    parts = "".join(part for source, part in _SCRIPT_PARTS.items() if source in sources)
    script = f"mark={shlex.quote(mark)}\n{_SCRIPT_HEAD}{parts}:"
    return f"exec sh -c {shlex.quote(script)}"


# --- What it gave


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    modified_at: datetime
    lines: list[str]


def parse_logs(text: str, mark: str, *, now: datetime) -> list[Line]:
    """All lines, each file's in its order. Total. `now`: the time of lines that nothing tells the time of."""
    sections = list(_sections(text, mark, now))
    worse = {
        name: {line for section in sections if section.name == name for line in section.lines}
        for name in ("journal-error", "journal-warning")
    }
    found: list[Line] = []
    for section in sections:
        match section.name:
            case "cloud-init":
                found += _plain(section, Source.CLOUD_INIT)
            case "install":
                found += _plain(section, Source.INSTALL)
            case "application":
                found += _plain(section, Source.APPLICATION)
            case "progress":
                found += (_progress(line, section.modified_at) for line in section.lines)
            case "journal":
                found += _journal(section, errors=worse["journal-error"], warnings=worse["journal-warning"])
            case "syslog":
                found += _journal(section, errors=set(), warnings=set())
    return found


def _sections(text: str, mark: str, now: datetime) -> Iterator[_Section]:
    for part in text.split(f"\n{mark} ")[1:]:
        head, _, body = part.partition("\n")
        name, *numbers = head.split()[:4] or [""]
        limit, modified, size = ([int(word) for word in numbers if re.fullmatch(r"[0-9]{1,12}", word)] + [0] * 3)[:3]
        lines = body.split("\n")
        if size > limit or (name.startswith("journal") and size == limit):
            lines = lines[1:]  # it begins in the middle
        modified_at = datetime.fromtimestamp(modified, tz=UTC) if 0 < modified < now.timestamp() else now
        yield _Section(name, modified_at, [line for line in map(_clean, lines) if line])


_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029) if code != 0x09}


def _clean(line: str) -> str:
    """As a terminal would leave it: without colours, and of a line written over itself the last version."""
    shown = line.rstrip("\r").rpartition("\r")[2]
    return _ESCAPES.sub("", shown).translate(_CONTROLS).rstrip()


def _plain(section: _Section, source: Source) -> Iterator[Line]:
    return _lines(section, source, ((at, _level(rest), rest) for at, rest in map(_timed, section.lines)))


def _journal(section: _Section, *, errors: set[str], warnings: set[str]) -> Iterator[Line]:
    """Lines of `journalctl -o short-iso` or of a syslog: time, host, program, message."""

    def told() -> Iterator[tuple[datetime | None, Level, str]]:
        for line in section.lines:
            if line.startswith("-- "):  # where a boot begins
                continue
            at, rest = _timed(line)
            if at is None:
                at, rest = _old_syslog(line, section.modified_at)
            message = rest.partition(" ")[2] if at is not None else rest
            level = Level.ERROR if line in errors else Level.WARN if line in warnings else _level(message)
            yield at, level, message

    return _lines(section, Source.SYSTEM, told())


def _lines(section: _Section, source: Source, told: Iterable[tuple[datetime | None, Level, str]]) -> Iterator[Line]:
    known = list(told)
    at = next((at for at, _, _ in known if at is not None), section.modified_at)
    for own, level, message in known:
        at = own or at
        if message:
            yield Line(at, level, source, _short(message))


def _short(message: str) -> str:
    return message if len(message) <= MESSAGE_MAX_CHARS else f"{message[:MESSAGE_MAX_CHARS]}…"


def _progress(line: str, at: datetime) -> Line:
    """A line of the progress file: percent or "failed", sub-phase, message."""
    how_far, phase, message = (*line.split(" ", 2), "", "")[:3]
    level = Level.ERROR if how_far == "failed" else Level.INFO
    told = f"{message} ({phase}, {how_far if level == Level.ERROR else f'{how_far} %'})" if message else line
    return Line(at, level, Source.DEVPOCKET, _short(told))


# --- Times

_ISO = re.compile(
    r"[\[(<]?([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r" ?(Z|[+-][0-9]{2}:?[0-9]{2}(?![0-9]))?[\])>]?(?: - |[\s:]|$)\s*"
)
_OWN = re.compile(
    r"Cloud-init v\. .{1,80}? at ([A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} [+-][0-9]{4})"
)
_SYSLOG = re.compile(r"([A-Z][a-z]{2}) ([ 0-9][0-9]) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def _timed(line: str) -> tuple[datetime | None, str]:
    """The time that a line begins with, and the rest of it. Times without a zone are UTC, as a droplet's clock is."""
    if (found := _ISO.match(line)) is not None:
        *numbers, fraction, zone = found.groups()
        microsecond = int((fraction or "0").ljust(6, "0")[:6])
        at = _utc([int(number) for number in numbers], microsecond, zone)
        return (at, line[found.end() :]) if at is not None else (None, line)
    if (found := _OWN.match(line)) is not None:
        try:
            return parsedate_to_datetime(found[1]).astimezone(UTC), line
        except (ValueError, TypeError, OverflowError):
            pass
    return None, line


def _utc(numbers: list[int], microsecond: int, zone: str | None) -> datetime | None:
    try:
        year, month, day, hour, minute, second = numbers
        at = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=_zone(zone))
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> timezone:
    """Raises: ValueError."""
    if text is None or text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _old_syslog(line: str, modified_at: datetime) -> tuple[datetime | None, str]:
    """Times without a year, as old syslogs have: of the year before the file's last change."""
    found = _SYSLOG.match(line)
    if found is None or found[1] not in _MONTHS:
        return None, line
    numbers = [_MONTHS.index(found[1]) + 1, *(int(found[group]) for group in range(2, 6))]
    for year in (modified_at.year, modified_at.year - 1):
        at = _utc([year, *numbers], 0, None)
        if at is not None and at <= modified_at + timedelta(days=1):
            return at, line[found.end() :]
    return None, line


# --- Levels

_LEVEL_LOOK_CHARS = 160  # from a line's beginning: further on they are words of its text
_WORDS = re.compile(
    r"(?P<ERROR>\b(?:ERROR|CRITICAL|FATAL|ALERT|EMERG|PANIC)\b"
    r"|^E: |\b(?:[Ee]rror|[Ff]atal|[Pp]anic|[Ff]ailed)(?: \w+)?:|^Traceback \(most recent call last\)|\b[A-Z]\w*Error:)"
    r"|(?P<WARN>\bWARN(?:ING)?\b|^W: |\b[Ww]arn(?:ing)?:)"
    r"|(?P<INFO>\b(?:INFO|NOTICE)\b)"
    r"|(?P<DEBUG>\b(?:DEBUG|TRACE)\b)"
)


def _level(message: str) -> Level:
    """By the first word that tells one."""
    found = _WORDS.search(message, 0, _LEVEL_LOOK_CHARS)
    return Level(found.lastgroup) if found is not None and found.lastgroup else Level.INFO


# --- What is asked for


def select(
    lines: Iterable[Line],
    *,
    levels: Collection[Level],
    sources: Collection[Source],
    since: datetime | None,
    limit: int,
) -> tuple[list[Line], int]:
    """The newest `limit` lines of those asked for, oldest first, and how many there are of them in all."""
    matching = sorted(
        (
            line
            for line in lines
            if line.level in levels and line.source in sources and (since is None or line.at >= since)
        ),
        key=lambda line: line.at,
    )
    return matching[-limit:], len(matching)
