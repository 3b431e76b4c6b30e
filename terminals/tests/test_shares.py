"""Guest links: made, listed and revoked by the owner of an environment; what ends them, and who can't use them."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from datetime import timedelta
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.core import serializers
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services import SignIn
from conftest import PASSWORD
from devpocket.nudges import share_group
from devpocket.testing.layers import layer_aclose
from devpocket.tests import wire
from devpocket.tests.parallel import in_parallel
from environments.lifecycle import Phase
from environments.models import Environment
from environments.tests.api import ENVIRONMENTS, ClientOf, check_phase_refusal
from environments.tests.homes import home_of
from terminals import shares
from terminals.errors import ShareEnded
from terminals.models import OpenTerminal, TerminalShare

pytestmark = pytest.mark.django_db

LIVE = [phase for phase in Phase if phase != Phase.TERMINATED]
SHARE: dict[str, wire.Reader] = {
    "id": wire.uuid4,
    "environment_id": wire.uuid4,
    "mode": wire.one_of("view", "write"),
    "session": wire.nullable(wire.text),
    "created_at": wire.time,
    "expires_at": wire.time,
    "revoked_at": wire.nullable(wire.time),
    "opened_count": wire.whole,
    "last_opened_at": wire.nullable(wire.time),
    "viewers": wire.whole,
    "active": wire.flag,
}


@pytest.fixture
def home(ann: SignIn) -> Environment:
    return home_of(ann.user)


@pytest.fixture
def client(ann: SignIn, client_of: ClientOf) -> APIClient:
    return client_of(ann)


def path_of(home: Environment, share: object = "") -> str:
    return f"{ENVIRONMENTS}/{home.pk}/terminal-shares" + (f"/{share}" if share else "")


def create(client: APIClient, home: Environment, **fields: Any) -> dict[str, Any]:
    answer = client.post(path_of(home), **wire.body(fields))
    shown = wire.decode(answer)
    assert answer.status_code == 201, shown
    wire.check(shown, {**SHARE, "token": wire.text, "url": wire.text})
    return dict(shown)


def listed(client: APIClient, home: Environment) -> list[dict[str, Any]]:
    answer = client.get(path_of(home))
    assert answer.status_code == 200
    for shown in wire.decode(answer):
        wire.check(shown, SHARE)
    return list(answer.json())


def row_of(home: Environment, **columns: Any) -> TerminalShare:
    fields = {"token_digest": uuid.uuid4().hex, "expires_at": timezone.now() + timedelta(hours=1)}
    return TerminalShare.objects.create(environment=home, created_by=home.owner, **{**fields, **columns})


def life_s(share: TerminalShare) -> float:
    return (share.expires_at - share.created_at).total_seconds()


def kinds(home: Environment) -> list[str]:
    return list(home.events.values_list("kind", flat=True))


# --- Made


def test_a_link_is_for_looking_on_for_an_hour_unless_it_is_said(client: APIClient, home: Environment) -> None:
    shown = create(client, home)
    share = TerminalShare.objects.get()
    assert (shown["id"], shown["environment_id"]) == (str(share.pk), str(home.pk))
    assert (shown["mode"], shown["session"], life_s(share)) == ("view", None, 3600)
    assert (shown["opened_count"], shown["viewers"], shown["active"], shown["revoked_at"]) == (0, 0, True, None)
    assert (share.created_by, share.session) == (home.owner, "")


def test_the_owner_says_what_it_opens_and_how_long(client: APIClient, home: Environment) -> None:
    shown = create(client, home, mode="write", expires_in=86400, session="pair-1")
    assert (shown["mode"], shown["session"], life_s(TerminalShare.objects.get())) == ("write", "pair-1", 86400)
    assert life_s(TerminalShare.objects.get(pk=create(client, home, expires_in=60)["id"])) == 60


def test_what_is_null_is_not_said(client: APIClient, home: Environment) -> None:
    shown = create(client, home, mode=None, expires_in=None, session=None)
    assert (shown["mode"], shown["session"], life_s(TerminalShare.objects.get())) == ("view", None, 3600)


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"mode": "admin"}, {"mode": "unknown_choice"}),
        ({"mode": ["view"]}, {"mode": "unknown_choice"}),
        ({"mode": ""}, {"mode": "unknown_choice"}),
        ({"expires_in": 59}, {"expires_in": "min_value"}),
        ({"expires_in": 0}, {"expires_in": "min_value"}),
        ({"expires_in": 86401}, {"expires_in": "max_value"}),
        ({"expires_in": "3600"}, {"expires_in": "invalid"}),
        ({"expires_in": 60.5}, {"expires_in": "invalid"}),
        ({"expires_in": True}, {"expires_in": "invalid"}),
        ({"session": ""}, {"session": "blank"}),
        ({"session": "A"}, {"session": "invalid"}),
        ({"session": " a"}, {"session": "invalid"}),
        ({"session": "a\n"}, {"session": "invalid"}),
        ({"session": "x" * 33}, {"session": "invalid"}),
        ({"session": 5}, {"session": "invalid"}),
        ({"session": "\ud800"}, {"session": "invalid"}),
        ({"mode": "x", "expires_in": 1}, {"mode": "unknown_choice", "expires_in": "min_value"}),
    ],
)
def test_bad_values_are_refused(
    fields: dict[str, Any], codes: dict[str, str], client: APIClient, home: Environment
) -> None:
    assert wire.field_codes(client.post(path_of(home), **wire.body(fields))) == codes
    assert not TerminalShare.objects.exists()


def test_what_is_no_json_is_refused(client: APIClient, home: Environment) -> None:
    answer = client.post(path_of(home), data="{", content_type="application/json")
    wire.check_refusal(answer, 400, "malformed_json")


@pytest.mark.parametrize("phase", LIVE)
def test_links_are_made_and_revoked_in_every_phase(phase: Phase, client: APIClient, home: Environment) -> None:
    Environment.objects.update(phase=phase)
    assert client.delete(path_of(home, create(client, home)["id"])).status_code == 204


def test_the_link_leads_here_with_environment_and_token_where_no_server_sees_them(
    client: APIClient, home: Environment, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://pocket.example.org/"
    first, second = create(client, home), create(client, home)
    assert first["url"] == f"https://pocket.example.org/t#{home.pk}.{first['token']}"
    assert first["token"] != second["token"]
    assert len(first["token"]) == 43  # 256 bits, in base 64


def test_the_token_is_told_once_and_kept_nowhere(client: APIClient, home: Environment) -> None:
    token = create(client, home)["token"]
    share = TerminalShare.objects.get()
    assert share.token_digest == hashlib.sha256(token.encode()).hexdigest()
    assert token not in serializers.serialize("json", [share, *home.events.all()])
    shown = client.get(path_of(home)).content.decode()
    assert token not in shown
    assert share.token_digest not in shown


def test_an_environment_has_so_many_that_work_and_no_more(client: APIClient, home: Environment, settings: Any) -> None:
    settings.TERMINAL_SHARES_MAX = 2
    now = timezone.now()
    row_of(home, revoked_at=now)
    row_of(home, expires_at=now)
    row_of(home_of(home.owner, name="Other"))
    first = create(client, home)
    create(client, home)
    answer = client.post(path_of(home))
    check_phase_refusal(answer)
    refusal = wire.decode(answer)
    assert "2 guest links" in refusal["detail"]
    assert (refusal["context"]["limit"], refusal["context"]["current"]) == (2, 2)
    assert TerminalShare.objects.count() == 5
    client.delete(path_of(home, first["id"]))
    create(client, home)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_not_both_get_the_last_one(ann: SignIn, client_of: ClientOf, settings: Any) -> None:
    settings.TERMINAL_SHARES_MAX = 1
    home = home_of(ann.user)
    codes = in_parallel(lambda number: client_of(ann).post(path_of(home)).status_code, count=4)
    assert sorted(codes) == [201, 409, 409, 409]
    assert TerminalShare.objects.count() == 1


# --- Listed and revoked


def test_the_list_tells_what_became_of_each(client: APIClient, home: Environment) -> None:
    now = timezone.now()
    row_of(home, session="old", created_at=now - timedelta(hours=3), expires_at=now)
    row_of(home, session="taken", created_at=now - timedelta(hours=2), revoked_at=now)
    opened = row_of(home, session="used", created_at=now - timedelta(hours=1), opened_count=3, last_opened_at=now)
    for seen_at in (now, now - timedelta(seconds=60), now - timedelta(seconds=100)):  # the last one's process is dead
        OpenTerminal.objects.create(share=opened, environment=home, kind="terminal", seen_at=seen_at)
    row_of(home_of(home.owner, name="Other"), session="another")
    told = [(one["session"], one["active"], one["viewers"], one["opened_count"]) for one in listed(client, home)]
    assert told == [("used", True, 2, 3), ("taken", False, 0, 0), ("old", False, 0, 0)]
    page = client.get(f"{path_of(home)}/?limit=1&offset=1")
    assert ([one["session"] for one in page.json()], page["X-Total-Count"]) == (["taken"], "3")
    assert client.get(f"{path_of(home)}?envelope=true").json()["terminal_shares"] == listed(client, home)
    assert wire.field_codes(client.get(f"{path_of(home)}?limit=0")) == {"limit": "min_value"}


def test_a_list_costs_as_much_however_long_it_is(
    client: APIClient, home: Environment, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        row_of(home)
    with django_assert_max_num_queries(4):  # the sign-in, the environment, the page, its total
        assert len(listed(client, home)) == 10


def test_a_revoked_link_opens_nothing(client: APIClient, home: Environment) -> None:
    shown = create(client, home)
    assert shares.live_share(uuid.UUID(shown["id"])).exists()
    answer = client.delete(f"{path_of(home, shown['id'])}/")
    assert (answer.status_code, answer.content) == (204, b"")
    [after] = listed(client, home)
    assert (after["active"], after["revoked_at"] is not None) == (False, True)
    assert not shares.live_share(uuid.UUID(shown["id"])).exists()
    with pytest.raises(ShareEnded):
        shares.share_open(shown["token"])


def test_revoking_it_again_is_harmless(client: APIClient, home: Environment) -> None:
    shown = create(client, home)
    expired = row_of(home, expires_at=timezone.now())
    codes = [client.delete(path_of(home, one)).status_code for one in (shown["id"], shown["id"], expired.pk)]
    assert codes == [204] * 3
    expired.refresh_from_db()
    assert expired.revoked_at is None
    assert kinds(home) == ["terminal_share_created", "terminal_share_revoked"]


def test_the_time_line_tells_who_did_it(client: APIClient, home: Environment) -> None:
    shown = create(client, home, mode="write", session="pair")
    client.delete(path_of(home, shown["id"]))
    created, revoked = home.events.all()
    assert created.message == f"write, session pair, until {shown['expires_at']}"
    assert (revoked.message, created.actor, revoked.actor) == ("write, session pair", home.owner, home.owner)


async def test_revoking_tells_those_whom_it_let_in(transactional_db: None, ann: SignIn) -> None:
    def prepare() -> TerminalShare:
        return row_of(home_of(ann.user))

    share = await database_sync_to_async(prepare)()
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(share_group(share.pk), channel)
    try:
        await database_sync_to_async(shares.share_revoke)(
            share_id=share.pk, environment_id=share.environment_id, owner_id=ann.user.pk, actor_id=ann.user.pk
        )
        async with asyncio.timeout(5):
            assert await layer.receive(channel) == {"type": "share.revoked"}
    finally:
        await layer.group_discard(share_group(share.pk), channel)
        await layer_aclose(layer)


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_links_are_their_owners_alone(
    method: str, home: Environment, ben: SignIn, client: APIClient, client_of: ClientOf
) -> None:
    share = row_of(home)
    bens = home_of(ben.user, name="Ben's")
    below = share.pk if method == "delete" else ""
    calls = [(APIClient(), path_of(home, below), 401, "not_authenticated")]
    calls += [(client_of(ben), path_of(home, below), 404, "not_found")]
    calls += [(client, f"{ENVIRONMENTS}/{uuid.uuid4()}/terminal-shares", 404, "not_found")] if not below else []
    if below:
        unknown = (uuid.uuid4(), "1", "%00", home.pk)
        calls += [(client, path_of(home, one), 404, "not_found") for one in unknown]
        calls += [(client_of(ben), path_of(bens, share.pk), 404, "not_found")]
    for who, path, status, code in calls:
        wire.check_refusal(getattr(who, method)(path), status, code)
    assert list(TerminalShare.objects.values_list("revoked_at", flat=True)) == [None]


# --- Opened


def test_opening_is_counted(client: APIClient, home: Environment, django_assert_max_num_queries: Any) -> None:
    token = create(client, home, mode="write", session="pair")["token"]
    before = timezone.now()
    for _ in range(3):
        share = shares.share_open(token)
    with django_assert_max_num_queries(0):
        assert (share.environment, share.environment.template.pk) == (home, "ubuntu")
    assert (share.mode, share.session, share.opened_count) == ("write", "pair", 3)
    [shown] = listed(client, home)
    assert shown["opened_count"] == 3
    assert share.last_opened_at >= before


@pytest.mark.django_db(transaction=True)
def test_many_who_open_it_at_once_are_all_counted(ann: SignIn, client_of: ClientOf) -> None:
    home = home_of(ann.user)
    token = create(client_of(ann), home)["token"]
    in_parallel(lambda number: shares.share_open(token), count=8)
    assert TerminalShare.objects.get().opened_count == 8


@pytest.mark.parametrize("token", ["", "x", "\ud800", "x" * 100_000, "a\0b"])
def test_a_token_that_never_was_one_opens_nothing(token: str, client: APIClient, home: Environment) -> None:
    real = create(client, home)["token"]
    for wrong in (token, real[:-1], f"{real} "):
        with pytest.raises(ShareEnded):
            shares.share_open(wrong)
    with pytest.raises(ShareEnded):
        shares.share_open(TerminalShare.objects.get().token_digest)  # whoever reads the database gets in nowhere
    assert TerminalShare.objects.get().opened_count == 0


def expire(home: Environment, client: APIClient) -> None:
    TerminalShare.objects.update(expires_at=timezone.now())


def delete_environment(home: Environment, client: APIClient) -> None:
    assert client.delete(f"{ENVIRONMENTS}/{home.pk}").status_code == 204


def close_account(home: Environment, client: APIClient) -> None:
    answer = client.delete("/api/v1/users/me", **wire.body({"password": PASSWORD}))
    assert answer.status_code == 200


def lock_out(home: Environment, client: APIClient) -> None:
    User.objects.filter(pk=home.owner_id).update(is_active=False)


@pytest.mark.parametrize("end", [expire, delete_environment, close_account, lock_out])
def test_it_ends_with_its_time_its_environment_and_its_owner(end: Any, client: APIClient, home: Environment) -> None:
    shown = create(client, home)
    shares.share_open(shown["token"])
    assert shares.live_share(uuid.UUID(shown["id"])).exists()
    end(home, client)
    assert not shares.live_share(uuid.UUID(shown["id"])).exists()
    with pytest.raises(ShareEnded) as refused:
        shares.share_open(shown["token"])
    assert refused.value.code == "share_ended"
    assert TerminalShare.objects.get().opened_count == 1


def test_its_token_opens_none_of_the_api(client: APIClient, home: Environment) -> None:
    token = create(client, home, mode="write")["token"]
    guest = APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")
    for path in ("/api/v1/auth/me", f"{ENVIRONMENTS}/{home.pk}", path_of(home), f"{ENVIRONMENTS}/{home.pk}/sessions"):
        wire.check_refusal(guest.get(path), 401, "token_invalid")
        wire.check_refusal(APIClient().get(f"{path}?share={token}&token={token}"), 401, "not_authenticated")
    wire.check_refusal(guest.post("/api/v1/ws/tickets"), 401, "token_invalid")


def test_links_are_forgotten_a_week_after_their_end(home: Environment) -> None:
    now = timezone.now()
    week, hour = timedelta(days=7), timedelta(hours=1)
    row_of(home, session="works")
    row_of(home, session="expired", expires_at=now - week + hour)
    row_of(home, session="revoked", revoked_at=now - week + hour)
    row_of(home, expires_at=now - week - hour)
    row_of(home, revoked_at=now - week - hour)
    for _ in range(2):
        shares.shares_prune()
    assert {share.session for share in TerminalShare.objects.all()} == {"works", "expired", "revoked"}
