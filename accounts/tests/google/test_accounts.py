"""POST /auth/google (contract 3.3): whose account it is that somebody signs in to."""

from __future__ import annotations

import re
from collections.abc import Callable

import jwt
import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from rest_framework.test import APIClient

from accounts.models import PlatformKey, Session, SSHKey, User
from accounts.one_time import Purpose, token_issue
from accounts.services import WRONG_LOGIN_TEXT, SignIn
from accounts.tests.google.issuer import SUBJECT, Issuer
from accounts.tests.google.signing_in import post, signed_in
from conftest import PASSWORD
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from environments.tests.homes import home_of


@pytest.mark.django_db
def test_a_new_user_gets_an_account_that_is_verified_and_has_no_password(issuer: Issuer) -> None:
    body = signed_in(post(issuer.token()))
    assert body["created"] is True
    user = User.objects.get()
    assert (user.username, user.email) == ("grace-hopper", "grace.hopper@example.org")
    assert (user.full_name, user.avatar_url) == ("Grace Hopper", "https://lh3.example/photo=s96-c")
    assert (user.is_verified, user.is_active, user.plan) == (True, True, "free")
    assert not user.has_usable_password()
    assert PlatformKey.objects.filter(user=user).exists()
    assert body["user"] | {"id": str(user.pk), "is_verified": True, "avatar_url": user.avatar_url} == body["user"]
    account = SocialAccount.objects.get()
    assert (account.user, account.provider, account.uid) == (user, "google", SUBJECT)


@pytest.mark.django_db
def test_the_tokens_open_the_api_and_name_the_device(issuer: Issuer) -> None:
    body = wire.decode(
        APIClient(HTTP_USER_AGENT="Pocket/3").post("/api/v1/auth/google", **wire.body({"id_token": issuer.token()}))
    )
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    assert wire.decode(client.get("/api/v1/auth/me"))["username"] == "grace-hopper"
    assert Session.objects.get().user_agent == "Pocket/3"


@pytest.mark.django_db
def test_nothing_of_the_token_is_kept_but_name_and_picture(issuer: Issuer) -> None:
    post(issuer.token(at_hash="x", hd="example.org"))
    assert SocialAccount.objects.get().extra_data == {
        "name": "Grace Hopper",
        "picture": "https://lh3.example/photo=s96-c",
    }
    assert not EmailAddress.objects.exists()


@pytest.mark.django_db
def test_who_comes_again_is_found_by_subject_though_the_address_has_changed(issuer: Issuer) -> None:
    first = signed_in(post(issuer.token()))
    again = signed_in(post(issuer.token(email="admiral@example.org", name="Admiral")))
    assert (again["created"], again["user"]["id"]) == (False, first["user"]["id"])
    user = User.objects.get()
    assert (user.email, user.full_name) == ("grace.hopper@example.org", "Grace Hopper")


@pytest.mark.django_db
def test_the_subject_counts_more_than_the_address(issuer: Issuer, ann: SignIn) -> None:
    grace = signed_in(post(issuer.token()))
    again = signed_in(post(issuer.token(email=ann.user.email)))
    assert again["user"]["id"] == grace["user"]["id"]


def test_a_verified_account_with_the_address_is_linked_and_keeps_all_it_has(issuer: Issuer, ann: SignIn) -> None:
    SSHKey.objects.create(user=ann.user, name="k", public_key="ssh-ed25519 A", fingerprint="SHA256:a")
    body = signed_in(post(issuer.token(email="ANN@example.org")))
    assert (body["created"], body["user"]["id"]) == (False, str(ann.user.pk))
    user = User.objects.get()
    assert user.check_password(PASSWORD)
    assert user.full_name is None
    assert user.ssh_keys.count() == 1
    assert user.sessions.filter(revoked_at=None).count() == 2
    assert signed_in(post(issuer.token(email="other@example.org")))["user"]["id"] == str(user.pk)


def test_an_account_that_never_verified_its_address_is_taken_from_whoever_made_it(
    issuer: Issuer, sign_up: Callable[..., SignIn], client_of: Callable[[SignIn], APIClient]
) -> None:
    squatter = sign_up("squatter", email="grace.hopper@example.org")
    SSHKey.objects.create(user=squatter.user, name="k", public_key="ssh-ed25519 A", fingerprint="SHA256:a")
    machine = home_of(squatter.user)
    token_issue(squatter.user, Purpose.RESET_PASSWORD)
    body = signed_in(post(issuer.token()))
    assert (body["created"], body["user"]["id"]) == (False, str(squatter.user.pk))
    assert body["user"]["is_verified"] is True
    user = User.objects.get()
    assert not user.has_usable_password()
    assert (user.ssh_keys.count(), user.one_time_tokens.count()) == (0, 0)
    machine.refresh_from_db()
    assert machine.keys_changed_at is not None  # it is told, and lets the key in no more
    assert [str(session.pk) for session in user.sessions.filter(revoked_at=None)] == [
        jwt.decode(body["access_token"], options={"verify_signature": False})["sid"]
    ]
    wire.check_refusal(client_of(squatter).get("/api/v1/auth/me"), 401, "token_invalid")
    refresh = APIClient().post("/api/v1/auth/refresh", **wire.body({"refresh_token": squatter.tokens.refresh}))
    wire.check_refusal(refresh, 401, "token_invalid")
    password = wire.body({"username_or_email": "squatter", "password": PASSWORD})
    wire.check_refusal(APIClient().post("/api/v1/auth/login", **password), 401, "invalid_credentials")


@pytest.mark.parametrize("linked", [True, False])
def test_a_disabled_account_is_refused_like_a_wrong_password(issuer: Issuer, ann: SignIn, linked: bool) -> None:
    if linked:
        signed_in(post(issuer.token(email=ann.user.email)))
    User.objects.update(is_active=False, is_verified=False)
    sessions = Session.objects.count()
    body = wire.check_refusal(post(issuer.token(email=ann.user.email)), 401, "invalid_credentials")
    assert body["detail"] == WRONG_LOGIN_TEXT
    assert Session.objects.count() == sessions
    assert SocialAccount.objects.count() == linked
    assert User.objects.get().has_usable_password()


def test_wrong_passwords_do_not_lock_google_out(issuer: Issuer, ann: SignIn) -> None:
    for _ in range(6):
        APIClient().post("/api/v1/auth/login", **wire.body({"username_or_email": "ann", "password": "wrong"}))
    assert User.objects.get().is_locked
    signed_in(post(issuer.token(email=ann.user.email)))


@pytest.mark.django_db
def test_who_has_closed_their_account_may_come_back_with_a_new_one(issuer: Issuer) -> None:
    first = signed_in(post(issuer.token()))
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {first['access_token']}")
    assert client.delete("/api/v1/users/me").status_code == 200
    assert not SocialAccount.objects.exists()
    again = signed_in(post(issuer.token()))
    assert again["created"] is True
    assert again["user"]["id"] != first["user"]["id"]


@pytest.mark.django_db(transaction=True)
def test_one_new_user_who_signs_in_twenty_times_at_once_has_one_account(issuer: Issuer) -> None:
    token = issuer.token()
    bodies = in_parallel(lambda index: signed_in(post(token)), count=20)
    assert len({body["user"]["id"] for body in bodies}) == 1
    assert [body["created"] for body in bodies].count(True) == 1
    assert (User.objects.count(), SocialAccount.objects.count(), PlatformKey.objects.count()) == (1, 1, 1)
    assert Session.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_ten_new_users_who_would_have_the_same_name_all_get_one(issuer: Issuer) -> None:
    tokens = [issuer.token(sub=f"s{index}", email=f"grace@{index}.example.org") for index in range(10)]
    bodies = in_parallel(lambda index: signed_in(post(tokens[index])), count=10)
    names = {body["user"]["username"] for body in bodies}
    assert len(names) == 10
    assert "grace" in names
    assert all(re.match(r"grace(-\d{6})?\Z", name) for name in names)


@pytest.mark.django_db(transaction=True)
def test_signing_up_and_google_at_once_make_one_account(issuer: Issuer) -> None:
    token = issuer.token(email="ann@example.org")

    def enter(index: int) -> int:
        if index % 2:
            form = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}
            return int(APIClient().post("/api/v1/auth/register", **wire.body(form)).status_code)
        return int(post(token).status_code)

    statuses = in_parallel(enter, count=8)
    assert statuses[::2] == [200] * 4
    assert set(statuses[1::2]) <= {201, 409}
    assert not User.objects.get().has_usable_password()
