"""Users however they come in: each has a platform key, whose private half only our keys can read."""

from __future__ import annotations

from collections.abc import Callable

import asyncssh
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from rest_framework.test import APIClient

from accounts.models import PlatformKey, Session, User
from accounts.selectors import find_user, get_platform_key
from accounts.services import SignIn, admin_ensure
from conftest import PASSWORD
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel


def test_signing_up_makes_the_platform_key(ann: SignIn) -> None:
    key = get_platform_key(ann.user.pk)
    private = asyncssh.import_private_key(key.private_key)
    assert key.public_key == private.export_public_key().decode().strip()
    assert key.public_key.startswith("ssh-ed25519 ")


def test_every_user_has_a_key_of_their_own(ann: SignIn, ben: SignIn) -> None:
    assert get_platform_key(ann.user.pk).public_key != get_platform_key(ben.user.pk).public_key


def test_the_private_key_is_not_readable_in_the_database(ann: SignIn) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT private_key FROM accounts_platformkey")
        ((stored,),) = cursor.fetchall()
    assert "PRIVATE KEY" not in stored
    assert get_platform_key(ann.user.pk).private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_a_refused_sign_up_leaves_nothing_behind(ann: SignIn) -> None:
    response = APIClient().post(
        "/api/v1/auth/register", {"username": "Ann", "email": "x@example.org", "password": PASSWORD}
    )
    wire.check_refusal(response, 409, "username_taken")
    assert (User.objects.count(), PlatformKey.objects.count(), Session.objects.count()) == (1, 1, 1)


@pytest.mark.django_db
def test_createsuperuser_makes_a_verified_admin_with_a_platform_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", "--noinput", "--username=Boss", "--email=Boss@Example.org", verbosity=0)
    boss = User.objects.get_by_natural_key("boss")
    assert (boss.username, boss.email, boss.plan) == ("Boss", "boss@example.org", "admin")
    assert boss.is_staff
    assert boss.is_superuser
    assert boss.is_verified
    assert boss.check_password(PASSWORD)
    assert boss.platform_key.public_key.startswith("ssh-ed25519 ")


def test_a_user_without_their_key_is_not_made(ann: SignIn) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create_user("ANN", "other@example.org")
    assert (User.objects.count(), PlatformKey.objects.count()) == (1, 1)


@pytest.mark.django_db
def test_admin_ensure_makes_an_admin_who_can_sign_in() -> None:
    assert admin_ensure(username="admin", password=PASSWORD) is True
    admin = User.objects.get()
    assert (admin.username, admin.email, admin.plan) == ("admin", "admin@localhost.localdomain", "admin")
    assert (admin.is_staff, admin.is_superuser, admin.is_verified, admin.is_active) == (True, True, True, True)
    assert admin.platform_key.public_key.startswith("ssh-ed25519 ")
    response = APIClient().post("/api/v1/auth/login", {"username_or_email": "admin", "password": PASSWORD})
    assert response.status_code == 200
    assert wire.decode(response)["user"]["is_admin"] is True


def test_admin_ensure_does_not_touch_who_is_there(sign_up: Callable[[str], SignIn]) -> None:
    before = User.objects.values().get(pk=sign_up("Admin").user.pk)
    assert admin_ensure(username="admin", password="Other-Password-8") is False
    assert User.objects.values().get() == before


@pytest.mark.django_db(transaction=True)
def test_of_processes_that_start_together_one_makes_the_admin() -> None:
    made = in_parallel(lambda _: admin_ensure(username="admin", password=PASSWORD), count=4)
    assert sorted(made) == [False, False, False, True]
    assert (User.objects.count(), PlatformKey.objects.count()) == (1, 1)


@pytest.mark.parametrize("wanted", ["ann", "ANN", "ann@example.org", "ANN@EXAMPLE.ORG"])
def test_find_user_knows_name_and_address_in_any_case(ann: SignIn, wanted: str) -> None:
    assert find_user(wanted) == ann.user


@pytest.mark.parametrize("wanted", ["", "an", "ann@", "a_n", "%", "ann@example.org.uk"])
def test_find_user_finds_nobody_by_half_a_name(ann: SignIn, wanted: str) -> None:
    assert find_user(wanted) is None
