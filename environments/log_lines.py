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
    """`at`: aware, UTC. Of the set-up: `phase`, its sub-phase, and `percent`, how far it is, where the line says so."""

    at: datetime
    level: Level
    source: Source
    message: str
    phase: str = ""
    percent: int | None = None

    @property
    def is_installation(self) -> bool:
        """Whether it is of the machine's set-up (contract 9.5)."""
        return self.phase != "" or self.source in (Source.CLOUD_INIT, Source.INSTALL)

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
        name: {_clean(line) for section in sections if section.name == name for line in section.lines}
        for name in ("journal-error", "journal-warning")
    }
    found: list[Line] = []
    for section in sections:
        match section.name:
            case "journal":
                found += _journal(section, errors=worse["journal-error"], warnings=worse["journal-warning"])
            case "syslog":
                found += _journal(section, errors=set(), warnings=set())
            case _:
                found += parse_lines(section.name, section.lines, section.modified_at)
    return found


def parse_lines(name: str, lines: Iterable[str], modified_at: datetime) -> list[Line]:
    """Lines of a file, by its name in the command. `modified_at`: the time of lines that nothing tells the time of."""
    parse = _FILES.get(name)
    if parse is None:
        return []
    told = [parse(line) for line in map(_clean, lines) if line]
    return list(_in_time((one for one in told if one.message), modified_at))


def _sections(text: str, mark: str, now: datetime) -> Iterator[_Section]:
    for part in text.split(f"\n{mark} ")[1:]:
        head, _, body = part.partition("\n")
        name, *numbers = head.split()[:4] or [""]
        limit, modified, size = ([int(word) for word in numbers if re.fullmatch(r"[0-9]{1,12}", word)] + [0] * 3)[:3]
        lines = body.split("\n")
        if size > limit or (name.startswith("journal") and size == limit):
            lines = lines[1:]  # it begins in the middle
        modified_at = datetime.fromtimestamp(modified, tz=UTC) if 0 < modified < now.timestamp() else now
        yield _Section(name, modified_at, [line for line in lines if line])


_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029) if code != 0x09}


def _clean(line: str) -> str:
    """As a terminal would leave it: without colours, and of a line written over itself the last version."""
    shown = line.rstrip("\r").rpartition("\r")[2]
    return _ESCAPES.sub("", shown).translate(_CONTROLS).rstrip()


def _journal(section: _Section, *, errors: set[str], warnings: set[str]) -> Iterator[Line]:
    """Lines of `journalctl -o short-iso` or of a syslog: time, host, program, message."""

    def told() -> Iterator[_Told]:
        for line in map(_clean, section.lines):
            if line.startswith("-- "):  # where a boot begins
                continue
            at, rest = _timed(line)
            if at is None:
                at, rest = _old_syslog(line, section.modified_at)
            message = rest.partition(" ")[2] if at is not None else rest
            level = Level.ERROR if line in errors else Level.WARN if line in warnings else _level(message)
            if message:
                yield _Told(at, level, Source.SYSTEM, message)

    return _in_time(told(), section.modified_at)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a line itself says; `at` None: no time."""

    at: datetime | None
    level: Level
    source: Source
    message: str
    phase: str = ""
    percent: int | None = None


def _in_time(told: Iterable[_Told], modified_at: datetime) -> Iterator[Line]:
    known = list(told)
    at = next((one.at for one in known if one.at is not None), modified_at)
    for one in known:
        at = one.at or at
        yield Line(at, one.level, one.source, _short(one.message), one.phase, one.percent)


def _short(message: str) -> str:
    return message if len(message) <= MESSAGE_MAX_CHARS else f"{message[:MESSAGE_MAX_CHARS]}…"


_PHASE = re.compile(r"\[([a-z_]{1,40})\](?: |$)")


def _output(line: str) -> _Told:
    at, rest = _timed(line)
    return _Told(at, _level(rest), Source.CLOUD_INIT, rest)


def _application(line: str) -> _Told:
    at, rest = _timed(line)
    return _Told(at, _level(rest), Source.APPLICATION, rest)


def _install(line: str) -> _Told:
    """A line of the install log: time, [sub-phase], what a step has printed."""
    at, rest = _timed(line)
    found = _PHASE.match(rest)
    phase, message = (found[1], rest[found.end() :]) if found is not None else ("", rest)
    return _Told(at, _level(message), Source.INSTALL, message, phase)


_PROGRESS = re.compile(r"(failed|[0-9]{1,3}) ([a-z_]{1,40}) (.+)")


def _progress(line: str) -> _Told:
    """A line of the progress file: time (not of older machines), percent or "failed", sub-phase, message."""
    at, rest = _timed(line)
    found = _PROGRESS.fullmatch(rest)
    if found is None:
        return _Told(at, Level.INFO, Source.DEVPOCKET, rest)
    how_far, phase, message = found.groups()
    if how_far == "failed":
        return _Told(at, Level.ERROR, Source.DEVPOCKET, f"{message} ({phase}, failed)", phase)
    percent = min(100, int(how_far))
    return _Told(at, Level.INFO, Source.DEVPOCKET, f"{message} ({phase}, {percent} %)", phase, percent)


_FILES = {"cloud-init": _output, "install": _install, "application": _application, "progress": _progress}


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
