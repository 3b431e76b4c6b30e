"""What this process counts of terminals, for `GET /metrics` (docs/watching.md has the table).

Each process has its own counts and is scraped by itself. Counting is safe from every thread and costs about a
microsecond; what is open now costs nothing until it is asked for. No label has an open set of values: never a user,
an environment or a text from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import asyncssh
from prometheus_client import Counter, Gauge, Histogram

from environments.ssh import HostKeyMismatch

_sockets = Counter(
    "devpocket_terminal_sockets_total",
    "WebSockets by what became of their handshake: opened, or the code of the refusal.",
    ["kind", "result"],
)
_sockets_open = Gauge(
    "devpocket_terminal_sockets_open",
    "WebSockets open now; those with mode=view only look on.",
    ["kind", "mode"],
)
_streams = Gauge("devpocket_terminal_streams", "PTYs on machines, with a viewer or without.")
_streams_away = Gauge("devpocket_terminal_streams_away", "PTYs that wait for their viewer to come back.")
_output = Counter("devpocket_terminal_output_bytes_total", "Bytes of terminal output sent to clients.")
_input = Counter("devpocket_terminal_input_bytes_total", "Bytes typed by clients.")
_input_delayed = Counter(
    "devpocket_terminal_input_delayed_total", "Inputs that were made to wait since their client was over its limit."
)
_attach_s = Histogram(
    "devpocket_terminal_attach_seconds",
    "From asking a machine for a terminal to having it, dialling included.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_ssh_dials = Counter(
    "devpocket_ssh_dials_total",
    "SSH connections dialled by what came of it: connected, timeout, unreachable, login_refused, host_key, protocol.",
    ["result"],
)
_resumes = Counter(
    "devpocket_terminal_resumes_total",
    "Clients that came back to a stream: resumed, missed (what they lacked is forgotten), or unknown (no such stream).",
    ["result"],
)
_reattached = Counter("devpocket_terminal_reattached_total", "Clients that got a new stream in place of a lost one.")
_gaps = Counter(
    "devpocket_terminal_replay_gaps_total", "Times that a viewer fell so far behind that bytes were forgotten."
)
_gap_bytes = Counter("devpocket_terminal_replay_lost_bytes_total", "Bytes forgotten in these gaps.")
_recordings_open = Gauge("devpocket_terminal_recordings_open", "Recordings being written now.")
_recordings = Counter("devpocket_terminal_recordings_total", "Recordings that ended, by their state.", ["state"])

# Series that are there from the start: rate() sees the first event only where there was a 0 before.
for _result in ("connected", "timeout", "unreachable", "login_refused", "host_key", "protocol"):
    _ssh_dials.labels(_result)
for _result in ("resumed", "missed", "unknown"):
    _resumes.labels(_result)

# Bound once: these are called for every frame.
output_bytes: Callable[[float], None] = _output.inc
input_bytes: Callable[[float], None] = _input.inc
input_delayed: Callable[[], None] = _input_delayed.inc

attached: Callable[[float], None] = _attach_s.observe  # seconds
reattached: Callable[[], None] = _reattached.inc


def socket_opened(kind: str) -> None:
    """A handshake was admitted. presence.py says so; consumers need not."""
    _sockets.labels(kind, "opened").inc()


def socket_refused(kind: str, code: str) -> None:
    """A handshake was refused. `code`: of the `error` frame that says so."""
    _sockets.labels(kind, code).inc()


def sockets_watch(open_now: Mapping[tuple[str, str], Callable[[], int]]) -> None:
    """Where to ask, from any thread, how many sockets are open, by (kind, mode)."""
    for (kind, mode), count in open_now.items():
        _sockets_open.labels(kind, mode).set_function(count)


def streams_watch(*, all_streams: Callable[[], int], away: Callable[[], int]) -> None:
    """Where to ask, from any thread, how many streams this process has, and how many of them have no viewer."""
    _streams.set_function(all_streams)
    _streams_away.set_function(away)


def ssh_dialled(error: BaseException | None) -> None:
    """A dial of `environments.ssh` has ended: what it raised, or None."""
    _ssh_dials.labels(_dial_result(error)).inc()


def _dial_result(error: BaseException | None) -> str:
    if error is None:
        return "connected"
    if isinstance(error, HostKeyMismatch):
        return "host_key"
    reason = error.__cause__ or error
    if isinstance(reason, TimeoutError):
        return "timeout"
    if isinstance(reason, asyncssh.PermissionDenied):
        return "login_refused"
    return "unreachable" if isinstance(reason, OSError) else "protocol"


def resume(result: Literal["resumed", "missed", "unknown"]) -> None:
    _resumes.labels(result).inc()


def replay_gap(lost_bytes: int) -> None:
    _gaps.inc()
    _gap_bytes.inc(lost_bytes)


def recording_started() -> None:
    _recordings_open.inc()


def recording_ended(state: str) -> None:
    """`state`: of models.Recording. For one that this process began; what another left broken is found, not ended."""
    _recordings_open.dec()
    _recordings.labels(state).inc()
