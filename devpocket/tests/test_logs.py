"""What must not reach a log, and what has to be on a line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.conf import settings
from rest_framework.test import APIClient

from accounts.services import SignIn
from conftest import PASSWORD
from devpocket.logs import SECRET_FIELDS, logging_config, scrub
from devpocket.tests import wire


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    yield
    logging_config(json=False, level=settings.LOG_LEVEL)


@pytest.mark.parametrize("field", sorted(SECRET_FIELDS))
def test_the_value_of_a_field_that_names_a_secret_is_replaced(field: str) -> None:
    assert scrub(None, "info", {"event": "x", field: "hunter2", "user": "7"}) == {
        "event": "x",
        field: "[scrubbed]",
        "user": "7",
    }


@pytest.mark.usefixtures("_logging_restored")
def test_lines_are_json_in_production_and_scrubbed(capsys: pytest.CaptureFixture[str]) -> None:
    logging_config(json=True, level="INFO")
    log = structlog.get_logger("devpocket.tests.json")
    log.info("signed_in", user="7", password="hunter2", more={"code": "hunter2"})
    logging.getLogger("a.library").info("below its level")
    logging.getLogger("a.library").warning("of a library: %s", "x")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["event"], first["user_id"], first["password"]) == ("signed_in", "7", "[scrubbed]")
    assert first["more"] == {"code": "[scrubbed]"}
    assert (second["event"], second["level"]) == ("of a library: x", "warning")


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"
SECRETS = {
    JWT: JWT,
    f"GET /api/v1/ws/terminal/7?token={JWT}&offset=1 HTTP": "offset=1",
    "/verify-email?token=hunter2": "hunter2",
    "Authorization: Bearer hunter2": "hunter2",
    "dop_v1_0123456789abcdef": "0123456789abcdef",
    "redis://:hunter2@10.0.0.1:6379/0": "hunter2",
    "postgres://devpocket:hunter2@10.0.0.1/devpocket": "hunter2",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----": "hunter2",
    "#cloud-config\nwrite_files:\n- content: hunter2": "hunter2",
}


@pytest.mark.usefixtures("_logging_restored")
@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("text", SECRETS)
def test_what_looks_like_a_secret_is_replaced_wherever_it_stands(
    capsys: pytest.CaptureFixture[str], text: str, as_json: bool
) -> None:
    logging_config(json=as_json, level="INFO")
    logging.getLogger("a.library").warning("told %s", text)
    structlog.get_logger(f"devpocket.tests.{as_json}").info("told", url=text, nested=[{"text": text}])
    try:
        raise RuntimeError(text)
    except RuntimeError:
        structlog.get_logger(f"devpocket.tests.{as_json}").exception("failed")
    shown = capsys.readouterr().err
    assert SECRETS[text] not in shown
    assert shown.count("[scrubbed]") >= 3
    if as_json:
        assert len([json.loads(line) for line in shown.splitlines()]) == 3


@pytest.mark.usefixtures("_logging_restored")
@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    def fail(password: str) -> None:
        raise RuntimeError("broken")

    logging_config(json=as_json, level="INFO")
    try:
        fail("hunter" + str(2))  # the source line is shown, the value is not
    except RuntimeError:
        structlog.get_logger(f"test.traceback.{as_json}").exception("request_failed")
    shown = capsys.readouterr().err
    assert "RuntimeError: broken" in shown
    assert "hunter2" not in shown


def test_signing_in_leaves_no_secret_in_the_log(
    ann: SignIn, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = [PASSWORD, "Wrong-Password-1", ann.tokens.refresh]
    with caplog.at_level(logging.DEBUG):
        for password in (PASSWORD, "Wrong-Password-1"):
            APIClient().post("/api/v1/auth/login?token=hunter2", {"email": "ann@example.org", "password": password})
        answer = APIClient().post("/api/v1/auth/refresh", {"refresh_token": ann.tokens.refresh})
        pair: Any = wire.decode(answer)
        APIClient(HTTP_AUTHORIZATION=f"Bearer {pair['access_token']}").post("/api/v1/auth/logout", {"all": True})
    secrets += ["hunter2", pair["access_token"], pair["refresh_token"]]
    logged = caplog.text + capsys.readouterr().err
    assert "signed_in" in logged
    for secret in secrets:
        assert secret not in logged


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    events = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [line for line in events if line["event"] == event]


def test_every_line_of_a_request_says_whose_it_is_and_about_what(
    ann: SignIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**arguments: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("environments.api.views.get_environment", fail)
    environment = "b5a2f7b4-6f4e-4b1c-9d0e-0d5d2d1c2b3a"
    answer = APIClient().get(
        f"/api/v1/environments/{environment}?x=hunter2",
        headers={"Authorization": f"Bearer {ann.tokens.access}", "X-Request-ID": "mine-1"},
        REMOTE_ADDR="203.0.113.7",
    )
    whose = {"request_id": "mine-1", "user_id": str(ann.user.pk), "environment_id": environment}
    [failed] = lines(caplog, "request_failed")
    [access] = lines(caplog, "request")
    assert whose.items() <= failed.items()
    told = {"method": "GET", "path": f"/api/v1/environments/{environment}", "status": 500, "address": "203.0.113.7"}
    assert (whose | told | {"bytes": len(answer.content)}).items() <= access.items()
    assert access["ms"] > 0
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("path", ["/api/v1/environments/not-an-id", "/api/v1/terminal-recordings/7", "/health/live"])
def test_no_text_from_outside_is_an_environment(ann: SignIn, caplog: pytest.LogCaptureFixture, path: str) -> None:
    APIClient().get(path, headers={"Authorization": f"Bearer {ann.tokens.access}"})
    assert [line for line in lines(caplog, "request") if "environment_id" in line] == []
