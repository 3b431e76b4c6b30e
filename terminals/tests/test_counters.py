"""What is counted of terminals, as it is scraped."""

from __future__ import annotations

import asyncssh
import pytest
from prometheus_client import REGISTRY

from environments.ssh import HostKeyMismatch, SSHUnavailable
from terminals import counters


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"devpocket_{name}", labels) or 0


class Counted:
    """By how much a count has risen since."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = value(name, **labels)

    def __call__(self) -> float:
        return value(self._name, **self._labels) - self._before


def test_bytes_add_up() -> None:
    out, typed = Counted("terminal_output_bytes_total"), Counted("terminal_input_bytes_total")
    counters.output_bytes(16384)
    counters.output_bytes(1)
    counters.input_bytes(3)
    assert (out(), typed()) == (16385, 3)


def test_handshakes_are_counted_by_what_became_of_them() -> None:
    opened = Counted("terminal_sockets_total", kind="terminal", result="opened")
    refused = Counted("terminal_sockets_total", kind="logs", result="too_many_connections")
    counters.socket_opened("terminal")
    counters.socket_refused("logs", "too_many_connections")
    counters.socket_refused("logs", "too_many_connections")
    assert (opened(), refused()) == (1, 2)


def caused(cause: Exception) -> SSHUnavailable:
    error = SSHUnavailable("text that is in no label")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (None, "connected"),
        (HostKeyMismatch(), "host_key"),
        (caused(TimeoutError()), "timeout"),
        (caused(ConnectionRefusedError()), "unreachable"),
        (caused(asyncssh.PermissionDenied("no")), "login_refused"),
        (caused(asyncssh.ConnectionLost("gone")), "protocol"),
        (SSHUnavailable("without a cause"), "protocol"),
    ],
)
def test_dials_are_counted_by_what_came_of_them(error: Exception | None, result: str) -> None:
    counted = Counted("ssh_dials_total", result=result)
    counters.ssh_dialled(error)
    assert counted() == 1


def test_what_is_open_now_is_asked_for_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for gauge in (counters._streams, counters._streams_away):
        monkeypatch.setattr(gauge, "_child_samples", gauge._child_samples)  # puts the server's own back afterwards
    streams = {"a", "b"}
    counters.streams_watch(all_streams=lambda: len(streams), away=lambda: len(streams - {"a"}))
    assert (value("terminal_streams"), value("terminal_streams_away")) == (2, 1)
    streams.add("c")
    assert (value("terminal_streams"), value("terminal_streams_away")) == (3, 2)


def test_returning_and_falling_behind() -> None:
    resumed, missed = (Counted("terminal_resumes_total", result=result) for result in ("resumed", "missed"))
    again, delayed = Counted("terminal_reattached_total"), Counted("terminal_input_delayed_total")
    gaps, lost = Counted("terminal_replay_gaps_total"), Counted("terminal_replay_lost_bytes_total")
    attached, attach_s = Counted("terminal_attach_seconds_count"), Counted("terminal_attach_seconds_sum")
    counters.resume("resumed")
    counters.reattached()
    counters.input_delayed()
    counters.replay_gap(1000)
    counters.replay_gap(24)
    counters.attached(0.25)
    assert (resumed(), missed(), again(), delayed(), gaps(), lost()) == (1, 0, 1, 1, 2, 1024)
    assert (attached(), attach_s()) == (1, pytest.approx(0.25))


def test_recordings_are_open_until_they_end() -> None:
    running = Counted("terminal_recordings_open")
    complete = Counted("terminal_recordings_total", state="complete")
    counters.recording_started()
    counters.recording_started()
    counters.recording_ended("complete")
    assert (running(), complete()) == (1, 1)
    counters.recording_ended("limited")
    assert (running(), complete()) == (0, 1)
