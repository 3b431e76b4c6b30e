"""The admin of accounts: what operators see, what they do, and what it leaves in the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mail, OneTimeToken, RefreshToken, Session, SSHKey, User
from accounts.services import SignIn
from accounts.ssh_keys import ssh_key_add
from accounts.tests import mailbox
from conftest import PASSWORD

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann@phone"
LISTS = ["accounts_user", "accounts_session", "accounts_sshkey", "accounts_mail", "admin_logentry"]


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss", "boss@example.org", PASSWORD)


@pytest.fixture
def desk(boss: User) -> Client:
    """The operator's browser."""
    client = Client()
    page = client.post("/admin/login/?next=/admin/", {"username": "boss", "password": PASSWORD})
    assert (page.status_code, page["Location"]) == (302, "/admin/")
    return client


def page(desk: Client, name: str, *args: Any, **query: str) -> str:
    response = desk.get(reverse(f"admin:{name}", args=args), query)
    assert response.status_code == 200, response
    return str(response.content.decode())


def act(desk: Client, what: str, *rows: Any, on: str = "accounts_user") -> None:
    response = desk.post(
        reverse(f"admin:{on}_changelist"), {"action": what, "_selected_action": [str(row.pk) for row in rows]}
    )
    assert response.status_code == 302, response.content


def logged(row: Any) -> list[str]:
    entries = LogEntry.objects.filter(object_id=str(row.pk))
    assert {entry.user.username for entry in entries} <= {"boss"}
    return [entry.get_change_message() for entry in entries]


@pytest.mark.parametrize("name", LISTS)
def test_lists_can_be_read_and_searched(name: str, desk: Client, ann: SignIn) -> None:
    ssh_key_add(user=ann.user, public_key=KEY, name=None)
    LogEntry.objects.log_actions(User.objects.get(username="boss").pk, User.objects.filter(pk=ann.user.pk), 2, "ann")
    assert "ann" in page(desk, f"{name}_changelist")
    assert "0 results" not in page(desk, f"{name}_changelist", q="ann")
    assert "0 results" in page(desk, f"{name}_changelist", q="nobody-of-this-name")


def test_locking_out_ends_sessions_and_signing_in_until_let_in_again(desk: Client, ann: SignIn, ben: SignIn) -> None:
    act(desk, "close_access", ann.user)
    user = User.objects.get(pk=ann.user.pk)
    assert not user.is_active
    assert Session.objects.get(pk=ann.session.pk).revoked_reason == "admin"
    assert User.objects.get(pk=ben.user.pk).is_active
    act(desk, "open_access", ann.user)
    assert User.objects.get(pk=ann.user.pk).is_active
    assert logged(ann.user) == ["Let in again", "Locked out"]
    assert logged(ben.user) == []


def test_unlocking(desk: Client, ann: SignIn) -> None:
    User.objects.filter(pk=ann.user.pk).update(locked_until=timezone.now() + timedelta(minutes=9), failed_logins=3)
    assert "icon-yes" in page(desk, "accounts_user_changelist", q="ann")
    act(desk, "unlock", ann.user)
    user = User.objects.get(pk=ann.user.pk)
    assert (user.is_locked, user.failed_logins) == (False, 0)
    assert logged(ann.user) == ["Unlocked"]


def test_signing_out_everywhere(desk: Client, ann: SignIn) -> None:
    act(desk, "sign_out", ann.user)
    assert Session.objects.get(pk=ann.session.pk).revoked_reason == "admin"
    assert User.objects.get(pk=ann.user.pk).is_active
    assert logged(ann.user) == ["Signed out everywhere"]


def test_revoking_one_session(desk: Client, ann: SignIn, ben: SignIn) -> None:
    act(desk, "revoke", ann.session, on="accounts_session")
    act(desk, "revoke", ann.session, on="accounts_session")  # again: nothing to do
    assert Session.objects.get(pk=ann.session.pk).revoked_reason == "admin"
    assert Session.objects.get(pk=ben.session.pk).revoked_at is None
    assert logged(ann.session) == ["Revoked"]


def user_form(user: User, **changes: str) -> dict[str, str]:
    inlines = {
        f"{prefix}-{name}": value
        for prefix in ("sessions", "ssh_keys")
        for name, value in (("TOTAL_FORMS", "0"), ("INITIAL_FORMS", "0"))
    }
    fields = {"username": user.username, "email": user.email, "full_name": "", "plan": user.plan, "is_active": "on"}
    return {**inlines, **fields, **changes}


def test_a_change_of_plan_is_logged_and_nothing_else_is_changed(desk: Client, ann: SignIn) -> None:
    url = reverse("admin:accounts_user_change", args=[ann.user.pk])
    response = desk.post(url, user_form(ann.user, plan="pro", is_verified="on", email="Ann@Example.org"))
    assert response.status_code == 302, response.content.decode()
    user = User.objects.get(pk=ann.user.pk)
    assert (user.plan, user.email, user.full_name) == ("pro", "ann@example.org", None)
    assert user.check_password(PASSWORD)
    assert Session.objects.get(pk=ann.session.pk).revoked_at is None
    assert any("Plan" in message for message in logged(ann.user))


def test_secrets_are_on_no_page(desk: Client, ann: SignIn, sign_up: Callable[..., SignIn]) -> None:
    cleo = sign_up("cleo")
    letter = mailbox.newest("cleo@example.org")
    key = ssh_key_add(user=cleo.user, public_key=KEY, name=None)
    user = User.objects.get(pk=cleo.user.pk)
    token = OneTimeToken.objects.get()
    pages = page(desk, "index") + "".join(page(desk, f"{name}_changelist") for name in LISTS)
    for name, row in (
        ("accounts_user", user),
        ("accounts_session", cleo.session),
        ("accounts_sshkey", key),
        ("accounts_mail", Mail.objects.filter(address="cleo@example.org").get()),
    ):
        pages += page(desk, f"{name}_change", row.pk) + page(desk, f"{name}_history", row.pk)
    secrets = [
        *(user.password, user.platform_key.private_key.splitlines()[1], "argon2", "PRIVATE KEY"),
        *(token.link_hash, token.code_hash, letter.token, letter.code),
        *RefreshToken.objects.values_list("jti", flat=True),
        *(cleo.tokens.access, cleo.tokens.refresh),
    ]
    assert [secret for secret in secrets if secret in pages] == []


@pytest.mark.parametrize("model", ["onetimetoken", "refreshtoken", "platformkey"])
def test_tables_of_secrets_have_no_page(model: str, desk: Client) -> None:
    assert desk.get(f"/admin/accounts/{model}/").status_code == 404


def test_nothing_is_added_or_deleted_and_the_log_is_read_only(desk: Client, ann: SignIn) -> None:
    ssh_key_add(user=ann.user, public_key=KEY, name=None)
    act(desk, "sign_out", ann.user)
    rows: dict[str, Any] = {
        "accounts_user": ann.user,
        "accounts_session": ann.session,
        "accounts_sshkey": SSHKey.objects.get(),
        "admin_logentry": LogEntry.objects.get(),
    }
    for name, row in rows.items():
        assert desk.get(reverse(f"admin:{name}_add")).status_code == 403
        assert desk.post(reverse(f"admin:{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
        if name != "accounts_user":
            assert desk.post(reverse(f"admin:{name}_change", args=[row.pk]), {"name": "x"}).status_code == 403
        assert type(row).objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("who", ["nobody", "user", "closed"])
def test_only_staff_gets_in(who: str, ann: SignIn, boss: User) -> None:
    client = Client()
    if who == "closed":
        User.objects.filter(pk=boss.pk).update(is_active=False)
    name = {"nobody": "nobody", "user": "ann", "closed": "boss"}[who]
    response = client.post("/admin/login/", {"username": name, "password": PASSWORD})
    assert response.status_code == 200
    assert "Please enter the correct username and password" in response.content.decode()
    for path in ("/admin/", reverse("admin:accounts_user_changelist")):
        assert client.get(path)["Location"].startswith("/admin/login/")


def test_whoever_is_signed_in_without_being_staff_is_refused(ann: SignIn) -> None:
    client = Client()
    client.force_login(ann.user)
    assert client.get(reverse("admin:accounts_user_changelist")).status_code == 302


def test_wrong_passwords_lock_the_admin_too(boss: User) -> None:
    client = Client()
    for _ in range(5):
        client.post("/admin/login/", {"username": "boss", "password": "wrong"})
    assert client.post("/admin/login/", {"username": "boss", "password": PASSWORD}).status_code == 200
    assert User.objects.get().is_locked


def test_an_operator_who_is_locked_out_is_out_at_once(desk: Client, boss: User) -> None:
    User.objects.filter(pk=boss.pk).update(is_active=False)
    assert desk.get("/admin/").status_code == 302


def test_lines_of_the_admin_say_which_operator_it_was(
    boss: User, desk: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    page(desk, "accounts_user_changelist")
    [line] = [record.msg for record in caplog.records if record.name == "devpocket.access"]
    assert isinstance(line, dict)
    assert (line["path"], line["user_id"]) == ("/admin/accounts/user/", str(boss.pk))
