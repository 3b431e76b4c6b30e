"""The examples in docs/websocket-protocol.md are what really goes over the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from devpocket.testing.processes import ROOT
from devpocket.times import time_text
from environments import billing
from environments.api.serializers import shown_to_owner
from environments.log_buffer import Entry
from environments.log_lines import Level, Line, Source
from environments.models import Environment
from templates_catalog.models import Template
from terminals import frames, log_frames
from terminals.environment_news import Untold
from terminals.protocol import Input, Key, Ping, Resize, parse_frame, parse_ping
from terminals.tmux import session_name

NOW = datetime(2026, 11, 24, 10, 0, 0, 123456, UTC)
ENVIRONMENT_ID = UUID("5d0c1d3e-7c1b-4c55-9d0c-3f8f3d1d9a11")


def examples(heading: str) -> list[dict[str, Any]]:
    """The JSON under a heading; a block may hold several objects."""
    text = (ROOT / "docs" / "websocket-protocol.md").read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found, decoder = [], json.JSONDecoder()
    for block in section.split("```json\n")[1:]:
        rest = block.partition("```")[0].strip()
        while rest:
            frame, end = decoder.raw_decode(rest)
            found.append(frame)
            rest = rest[end:].strip()
    return found


def first(**columns: Any) -> Environment:
    """The environment of the examples."""
    return Environment(
        pk=ENVIRONMENT_ID,
        name="First",
        template_id="python",
        region="nyc3",
        size="s-1vcpu-512mb-10gb",
        droplet_id=123456789,
        droplet_ip="203.0.113.7",
        **columns,
    )


def first_in_full() -> dict[str, Any]:
    """As the API gives it to its owner, an hour after it was made."""
    made = NOW - timedelta(hours=1)
    environment = first(
        slug="first-5d0c1d3e",
        description="Trying things out",
        template=Template(name="python", display_name="Python", default_port=8080),
        phase="running",
        status_message="Ready",
        progress=100,
        image="ubuntu-24-04-x64",
        memory_mb=512,
        vcpus=1,
        disk_gb=10,
        storage_size_gb=10,
        environment_variables={"EDITOR": "vim"},
        volume_id="506f78a4-e098-11e5-ad9f-000f53306ae1",
        installation_completed=True,
        install_percent=100,
        install_phase="completion",
        cpu_percent=3.5,
        memory_percent=41.2,
        storage_percent=2.0,
        created_at=made,
        updated_at=made + timedelta(minutes=4),
        phase_changed_at=made + timedelta(minutes=4),
        last_activity_at=made + timedelta(minutes=50),
        billing_usd_per_hour=0.00744,
        billing_since=made,
    )
    [shown] = shown_to_owner([environment], plan="free")
    return shown


def test_what_the_server_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "now_text", lambda: time_text(NOW))
    running = first(phase="running", progress=100, installation_completed=True)
    installing = first(phase="installing", progress=42, status_message="Installing core tools")
    later = {"id": "i_tZks1AZCqNi7XU", "offset": 2400123}
    said = [
        frames.welcome(
            running,
            session=session_name(str(ENVIRONMENT_ID), None),
            stream={"id": "i_tZks1AZCqNi7XU", "offset": 0},
            recording={"id": "0b5e7f2a-3a52-4a9b-8c57-6d1f1f6f8a10"},
        ),
        frames.output("42\r\n", 1187),
        frames.ack(17),
        frames.status_update(installing),
        frames.reattached(
            stream={"id": "Q8WFJp7MPEzywWL-", "offset": 0}, is_new_session=False, recording=None, input_seq=17
        ),
        frames.lost_output(70210, stream=later),
        frames.left_out(stream=later),
        frames.idle_warning(running, NOW + timedelta(minutes=10)),
        frames.error("terminal_not_ready", "The terminal is not ready yet."),
        frames.error("rate_limited", "Too much at once.", retry_after=2),
        frames.pong(),
    ]
    assert examples("From the server") == [json.loads(text) for text in said]


def test_what_a_client_says() -> None:
    understood = [parse_frame(json.dumps(frame)) for frame in examples("From the client")]
    assert understood == [Input(b"ls\r"), Input(b"make\r", 17), Key("ctrl-c"), Resize(100, 30), Ping()]


def test_what_the_logs_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "now_text", lambda: time_text(NOW))
    installing = first(phase="installing", progress=32, status_message="Installing core tools", install_percent=30)
    running = first(phase="running", progress=100, status_message="Ready", installation_completed=True)
    failed = first(phase="error", error_code="installing_failed", error_message="The set-up failed: no network")
    output = Line(NOW, Level.INFO, Source.INSTALL, "Setting up git (1:2.43.0) ...", "core_tools")
    warning = Line(NOW, Level.WARN, Source.APPLICATION, "warning: low on memory")
    told = log_frames.Told(installing)
    said = [
        log_frames.welcome(installing),
        told.line(ENVIRONMENT_ID, Entry(warning, "123456789", "core_tools", 30)),
        told.line(ENVIRONMENT_ID, Entry(output, "123456789", "core_tools", 30)),
        told.news(installing)[0],
        told.news(running)[0],
        log_frames.Told(failed).news(failed)[1],
        frames.pong(),
    ]
    assert examples("The logs, from the server") == [json.loads(text) for text in said]


def test_what_the_environments_socket_says(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.PLANS = {**settings.PLANS, "free": {**settings.PLANS["free"], "idle_stop_minutes": 60}}
    monkeypatch.setattr(frames, "now_text", lambda: time_text(NOW))
    monkeypatch.setattr(billing, "usd_month_to_date", lambda environment, now: 0.0074)
    untold, shown = Untold(), first_in_full()
    said = [untold.welcome([])]
    untold.seen([shown])
    said.append(untold.next())
    untold.seen([])
    said += [untold.next(), frames.pong()]
    assert examples("The environments, from the server") == [json.loads(text) for text in said if text is not None]


def test_what_a_client_says_to_the_environments_socket() -> None:
    assert [parse_ping(json.dumps(frame)) for frame in examples("The environments, from the client")] == [Ping()]


def test_what_a_client_says_to_the_logs() -> None:
    assert [parse_ping(json.dumps(frame)) for frame in examples("The logs, from the client")] == [Ping()]
