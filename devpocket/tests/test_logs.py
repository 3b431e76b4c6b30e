"""What must not reach a log."""

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
    structlog.get_logger("test.json").info("signed_in", user="7", password="hunter2")
    logging.getLogger("test.json").warning("of a library: %s", "x")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["event"], first["user"], first["password"]) == ("signed_in", "7", "[scrubbed]")
    assert (second["event"], second["level"]) == ("of a library: x", "warning")


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
