"""Queued mails: who sends them, and what happens when a mail server fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import OperationalError, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import mailer, mails
from accounts.models import Mail, User
from accounts.profile import user_delete
from accounts.services import SignIn
from accounts.tests import mailbox
from conftest import PASSWORD
from devpocket.tests.parallel import in_parallel

ADDRESS = "cleo@example.org"


class Refusing(BaseEmailBackend):
    """A mail server that says no, and repeats the mail while at it."""

    def send_messages(self, messages: Any) -> int:
        raise ConnectionRefusedError(f"refused: {messages[0].body}")


class Held(BaseEmailBackend):
    """A mail server in the middle of taking a mail, until `go` is set."""

    entered, go = threading.Event(), threading.Event()
    taken: list[str] = []

    def send_messages(self, messages: Any) -> int:
        self.entered.set()
        assert self.go.wait(10)
        self.taken.append(messages[0].subject)
        return 1


@pytest.fixture
def held(settings: Any) -> Iterator[type[Held]]:
    settings.EMAIL_BACKEND = f"{__name__}.Held"
    for event in (Held.entered, Held.go):
        event.clear()
    Held.taken.clear()
    yield Held
    Held.go.set()


@pytest.fixture
def refusing(settings: Any) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Refusing"


@pytest.fixture
def queued(sign_up: Callable[..., SignIn]) -> Mail:
    """The mail of a user who has just signed up."""
    sign_up("cleo")
    return Mail.objects.get()


def due_again(row: Mail) -> None:
    Mail.objects.filter(pk=row.pk).update(next_try_at=timezone.now())


def test_a_delivered_mail_is_done(queued: Mail) -> None:
    assert len(mailbox.deliver()) == 1
    queued.refresh_from_db()
    assert (queued.next_try_at, queued.tries, queued.error) == (None, 0, "")
    assert queued.sent_at is not None
    assert mailbox.deliver() == []
    mails.mail_deliver(queued.pk)
    assert len(mail.outbox) == 1


@pytest.mark.usefixtures("refusing")
def test_a_refused_mail_is_tried_again_with_growing_pauses(queued: Mail) -> None:
    pauses_s = []
    for tries in range(1, 10):
        assert mailbox.deliver() == []
        queued.refresh_from_db()
        assert (queued.tries, queued.sent_at) == (tries, None)
        assert queued.next_try_at is not None
        pauses_s.append(round((queued.next_try_at - timezone.now()).total_seconds()))
        assert mails.mails_due(limit=9) == []
        due_again(queued)
    assert pauses_s == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_after_a_failure_a_mail_with_a_new_code_gets_through(queued: Mail, settings: Any) -> None:
    backend = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = f"{__name__}.Refusing"
    mailbox.deliver()
    settings.EMAIL_BACKEND = backend
    due_again(queued)
    body = {"token": mailbox.newest(ADDRESS).token}
    assert APIClient().post("/api/v1/auth/verify-email", body).status_code == 200
    queued.refresh_from_db()
    assert (queued.tries, queued.error) == (1, "")


@pytest.mark.usefixtures("refusing")
def test_after_a_day_a_mail_is_given_up(queued: Mail) -> None:
    Mail.objects.update(created_at=timezone.now() - timedelta(hours=25))
    mailbox.deliver()
    queued.refresh_from_db()
    assert (queued.next_try_at, queued.sent_at, queued.tries) == (None, None, 1)


@pytest.mark.usefixtures("refusing")
def test_the_error_holds_nothing_of_the_mail(
    queued: Mail, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox.deliver()
    queued.refresh_from_db()
    assert queued.error == "ConnectionRefusedError"
    logged = caplog.text + capsys.readouterr().err
    assert "mail_failed" in logged
    for secret in ("token=", "type this code", ADDRESS):
        assert secret not in logged


@pytest.mark.usefixtures("refusing")
@pytest.mark.django_db(transaction=True)
def test_no_request_fails_because_of_a_mail_server() -> None:
    body = {"username": "cleo", "email": ADDRESS, "password": PASSWORD}
    assert APIClient().post("/api/v1/auth/register", body).status_code == 201
    assert APIClient().post("/api/v1/auth/forgot-password", {"email": ADDRESS}).status_code == 200
    mailbox.deliver()
    assert Mail.objects.filter(tries=1).count() == 2


def test_what_nobody_may_get_any_more_is_dropped(queued: Mail, ann: SignIn) -> None:
    User.objects.update(is_active=False)
    assert mailbox.deliver() == []
    assert not Mail.objects.exists()


def test_a_mail_to_a_user_deleted_meanwhile_is_dropped(sign_up: Callable[..., SignIn]) -> None:
    cleo = sign_up("cleo")
    [due] = mails.mails_due(limit=9)
    user_delete(user=cleo.user, session=cleo.session, password=PASSWORD)
    mails.mail_deliver(due)
    assert mail.outbox == []


def test_whoever_was_verified_meanwhile_needs_no_code(queued: Mail) -> None:
    User.objects.update(is_verified=True)
    assert mailbox.deliver() == []


@pytest.mark.django_db(transaction=True)
def test_one_mail_is_sent_by_one_of_many_processes(sign_up: Callable[..., SignIn], held: type[Held]) -> None:
    sign_up("cleo")
    [due] = mails.mails_due(limit=9)

    def compete(index: int) -> None:
        if index == 0:
            assert held.entered.wait(10)
            assert mails.mails_due(limit=9) == []
            held.go.set()
        else:
            mails.mail_deliver(due)

    in_parallel(compete, count=4)
    assert len(held.taken) == 1


def test_what_a_killed_process_held_is_due_again(queued: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mails, "_write", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        mails.mail_deliver(queued.pk)
    monkeypatch.undo()
    queued.refresh_from_db()
    assert queued.next_try_at is not None
    assert 100 < (queued.next_try_at - timezone.now()).total_seconds() <= mails.CLAIM_S
    due_again(queued)
    assert len(mailbox.deliver()) == 1


def test_done_mails_are_forgotten_after_a_week(queued: Mail) -> None:
    Mail.objects.update(created_at=timezone.now() - timedelta(days=8))
    mails.mails_prune()
    assert Mail.objects.count() == 1  # it is still to be sent
    mailbox.deliver()
    mails.mails_prune()
    assert not Mail.objects.exists()


# --- The service in the server process


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 -- a list that another thread fills
            await asyncio.sleep(0.01)


def queue(*, then_fail: bool = False) -> None:
    with transaction.atomic():
        mails.mail_queue(kind=Mail.Kind.PASSWORD_CHANGED, address=ADDRESS)
        if then_fail:
            transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
async def test_a_mail_goes_out_once_its_transaction_is_in(sign_up: Callable[..., SignIn]) -> None:
    await database_sync_to_async(sign_up)("cleo", is_verified=True)
    async with mailer.lifespan():
        await database_sync_to_async(queue)(then_fail=True)
        await database_sync_to_async(queue)()
        await until(lambda: bool(mail.outbox))
    assert [message.subject for message in mail.outbox] == ["Your DevPocket password was changed"]
    assert mails.wakers._wakers == set()


@pytest.mark.django_db(transaction=True)
async def test_what_others_left_is_found_at_the_start(sign_up: Callable[..., SignIn]) -> None:
    await database_sync_to_async(sign_up)("cleo")
    async with mailer.lifespan():
        await until(lambda: bool(mail.outbox))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("broken", ["mails_due", "mail_deliver", "mails_prune"])
async def test_the_service_outlives_a_database_that_is_away(
    broken: str, sign_up: Callable[..., SignIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    works = getattr(mails, broken)
    failed = threading.Event()

    def fails_once(*args: Any, **kwargs: Any) -> Any:
        if not failed.is_set():
            failed.set()
            raise OperationalError("the database is away")
        return works(*args, **kwargs)

    monkeypatch.setattr(mails, broken, fails_once)
    monkeypatch.setattr(mailer, "LOOK_EVERY_S", 0.05)
    async with mailer.lifespan():
        if broken != "mail_deliver":
            await until(failed.is_set)
        await database_sync_to_async(sign_up)("cleo")
        await until(lambda: bool(mail.outbox))
    assert failed.is_set()
