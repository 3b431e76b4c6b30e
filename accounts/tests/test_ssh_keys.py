"""/users/me/ssh-keys: public keys of users' own, which all their machines let in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import asyncssh
import pytest
import yaml
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts import ssh_keys
from accounts.models import SSHKey
from accounts.selectors import authorized_keys
from accounts.services import SignIn
from devpocket.errors import InvalidInput
from devpocket.tests import wire
from environments.cloud_init import KEYS_FILE, user_data
from environments.models import Environment
from environments.selectors import machine_spec

ROUTE = "/api/v1/users/me/ssh-keys"
SHOWN = {
    "id": wire.uuid4,
    "name": wire.text,
    "public_key": wire.text,
    "fingerprint": wire.text,
    "created_at": wire.time,
}


@cache
def key(kind: str, size: int = 0) -> asyncssh.SSHKey:
    """One key of each kind for all tests: making an RSA key takes a while."""
    return asyncssh.generate_private_key(kind, **({"key_size": size} if size else {}))


def line(kind: str = "ssh-ed25519", size: int = 0, comment: str = "ann@phone") -> str:
    made = asyncssh.import_private_key(key(kind, size).export_private_key())
    made.set_comment(comment)
    return made.export_public_key().decode().strip()


@pytest.fixture
def client(ann: SignIn, client_of: Callable[[SignIn], APIClient]) -> APIClient:
    return client_of(ann)


def add(client: APIClient, public_key: object, **fields: object) -> Response:
    return client.post(ROUTE, **wire.body({"public_key": public_key, **fields}))


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("ssh-ed25519", 0),
        ("ecdsa-sha2-nistp256", 0),
        ("ecdsa-sha2-nistp384", 0),
        ("ecdsa-sha2-nistp521", 0),
        ("ssh-rsa", 3072),
    ],
)
def test_a_key_is_stored_as_it_is_and_named_after_its_comment(kind: str, size: int, client: APIClient) -> None:
    response = add(client, f"  {line(kind, size)}\n")
    assert response.status_code == 201
    body = wire.decode(response)
    wire.check(body, SHOWN)
    assert (body["public_key"], body["name"]) == (line(kind, size), "ann@phone")
    assert body["fingerprint"] == key(kind, size).get_fingerprint("sha256")
    assert wire.decode(client.get(ROUTE)) == [body]


@pytest.mark.parametrize("comment", ["ann lee on the phone", "Änne @ 電話 📱", "\"; $(reboot) {{ x }} # ' \\"])
def test_a_comment_is_kept_and_reaches_the_machine_as_text(comment: str, client: APIClient, ann: SignIn) -> None:
    body = wire.decode(add(client, line(comment=comment)))
    assert body["public_key"] == line(comment=comment)
    assert body["name"] == comment

    environment = Environment(owner=ann.user, slug="work", memory_mb=512, host_private_key="k", host_public_key="p")
    template = SimpleNamespace(environment_variables={}, config={}, startup_commands=[])
    environment._state.fields_cache["template"] = template
    spec = machine_spec(environment)
    assert spec.authorized_keys == authorized_keys(ann.user.pk)
    assert spec.authorized_keys[0] == ann.user.platform_key.public_key
    assert spec.authorized_keys[1:] == (line(comment=comment),)
    files = {file["path"]: file["content"] for file in yaml.safe_load(user_data(spec))["write_files"]}
    assert line(comment=comment) in files[KEYS_FILE].splitlines()


def test_a_name_may_be_given(client: APIClient) -> None:
    assert wire.decode(add(client, line(), name=" Phone "))["name"] == "Phone"


@pytest.mark.parametrize("name", ["", None, "  "])
def test_without_name_and_comment_it_is_named_after_its_fingerprint(name: str | None, client: APIClient) -> None:
    body = wire.decode(add(client, line(comment=""), name=name))
    assert body["name"] == body["fingerprint"]


def test_the_camel_case_spelling(client: APIClient) -> None:
    assert client.post(ROUTE, {"publicKey": line()}).status_code == 201


def test_the_same_key_again_is_refused_whatever_its_comment(client: APIClient, client_of: object, ben: SignIn) -> None:
    add(client, line())
    body = wire.check_refusal(add(client, line(comment="other")), 409, "name_taken")
    assert [(error["field"], error["code"]) for error in body["errors"]] == [("public_key", "taken")]
    assert "duplicate" not in body["detail"]
    assert add(client_of(ben), line()).status_code == 201  # type: ignore[operator]


PPK = """PuTTY-User-Key-File-3: ssh-ed25519
Encryption: none
Comment: hunter2
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIJdd
Private-Lines: 1
hunter2hunter2
Private-MAC: 00"""
PRIVATE = {
    "openssh": lambda: key("ssh-ed25519").export_private_key("openssh").decode(),
    "pkcs8": lambda: key("ssh-ed25519").export_private_key("pkcs8-pem").decode(),
    "pkcs1": lambda: key("ssh-rsa", 3072).export_private_key("pkcs1-pem").decode(),
    "encrypted": lambda: key("ssh-ed25519").export_private_key("pkcs8-pem", passphrase="x").decode(),
    "putty": lambda: PPK,
    "cut": lambda: key("ssh-ed25519").export_private_key("openssh").decode()[:60],
    "lower case": lambda: key("ssh-ed25519").export_private_key("openssh").decode().lower(),
}


@pytest.mark.parametrize("name", PRIVATE)
def test_a_private_key_is_refused_with_a_warning_and_kept_nowhere(
    name: str, client: APIClient, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    private = PRIVATE[name]()
    with caplog.at_level(logging.DEBUG):
        response = add(client, private)
    [error] = wire.check_refusal(response, 422, "invalid_input")["errors"]
    assert (error["field"], error["message"]) == ("public_key", ssh_keys.PRIVATE_TEXT)
    assert not SSHKey.objects.exists()
    for part in private.splitlines()[1:-1]:
        assert part not in caplog.text + capsys.readouterr().err + response.content.decode()


def certificate() -> str:
    signed = key("ssh-ed25519").generate_user_certificate(key("ssh-ed25519"), "ann")
    return str(signed.export_certificate().decode())


REFUSED: dict[str, Callable[[], object]] = {
    "rsa of 2048 bits": lambda: line("ssh-rsa", 2048),
    "dsa": lambda: "ssh-dss AAAAB3NzaC1kc3MAAACBAP",
    "security key": lambda: "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t",
    "certificate": certificate,
    "certificate under another name": lambda: f"ssh-ed25519 {certificate().split()[1]}",
    "another kind's name": lambda: f"ssh-ed25519 {line('ecdsa-sha2-nistp256').split()[1]}",
    "options": lambda: f'command="reboot" {line()}',
    "a flag": lambda: f"restrict {line()}",
    "two lines": lambda: f"{line()}\n{line('ecdsa-sha2-nistp256')}",
    "a line hidden by a carriage return": lambda: f"{line()}\rssh-rsa AAAA",
    "a line separator": lambda: f"{line()}\u2028x",
    "pem": lambda: key("ssh-ed25519").export_public_key("pkcs8-pem").decode(),
    "rfc4716": lambda: key("ssh-ed25519").export_public_key("rfc4716").decode(),
    "no base64": lambda: "ssh-ed25519 ?????",
    "cut": lambda: line()[:50],
    "only the kind": lambda: "ssh-ed25519",
    "words": lambda: "my key",
    "nul": lambda: f"{line()}\0",
    "a long comment": lambda: line(comment="x" * 5000),
    "huge": lambda: "ssh-ed25519 " + "A" * 900_000,
    "blank": lambda: "  ",
    "empty": lambda: "",
    "null": lambda: None,
    "a list": lambda: [line()],
    "a number": lambda: 7,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_good_public_key_is_refused(name: str, client: APIClient) -> None:
    assert set(wire.field_codes(add(client, REFUSED[name]()))) == {"public_key"}
    assert not SSHKey.objects.exists()


def test_a_number_of_keys_is_enough(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_keys, "KEYS_MAX", 1)
    add(client, line())
    assert wire.field_codes(add(client, line("ecdsa-sha2-nistp256"))) == {"public_key": "max_length"}


def test_all_keys_together_leave_room_in_the_user_data(client: APIClient) -> None:
    comments = "x" * 4000
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"):
        assert add(client, line(kind, comment=comments[: 4000 - 300])).status_code == 201
    assert add(client, line("ecdsa-sha2-nistp521", comment=comments[: 4000 - 300])).status_code == 201
    assert wire.field_codes(add(client, line("ssh-rsa", 3072, comment=comments[:2500]))) == {"public_key": "max_length"}


def test_a_key_is_deleted_once(client: APIClient, ann: SignIn) -> None:
    key_id = wire.decode(add(client, line()))["id"]
    response = client.delete(f"{ROUTE}/{key_id}")
    assert (response.status_code, response.content) == (204, b"")
    wire.check_refusal(client.delete(f"{ROUTE}/{key_id}"), 404, "not_found")
    assert len(authorized_keys(ann.user.pk)) == 1
    assert add(client, line()).status_code == 201


# --- Who lets the keys in is told

told: list[object] = []


def note(*, user_id: object) -> None:
    told.append((user_id, SSHKey.objects.filter(user_id=user_id).count()))


def broken(*, user_id: object) -> None:
    raise RuntimeError("broken")


@pytest.fixture
def noting(settings: Any) -> Iterator[list[object]]:
    settings.SSH_KEYS_CHANGED = [f"{__name__}.note"]
    told.clear()
    yield told
    told.clear()


def test_every_change_is_told_once_it_is_made(client: APIClient, ann: SignIn, noting: list[object]) -> None:
    key_id = wire.decode(add(client, line()))["id"]
    add(client, line("ecdsa-sha2-nistp256"))
    client.delete(f"{ROUTE}/{key_id}")
    assert noting == [(ann.user.pk, 1), (ann.user.pk, 2), (ann.user.pk, 1)]


def test_what_changes_nothing_is_not_told(client: APIClient, noting: list[object]) -> None:
    add(client, line())
    noting.clear()
    add(client, line())
    add(client, "nonsense")
    client.delete(f"{ROUTE}/00000000-0000-4000-8000-000000000000")
    assert noting == []


@pytest.mark.usefixtures("noting")
def test_a_change_that_can_not_be_told_is_not_made(client: APIClient, ann: SignIn, settings: Any) -> None:
    key_id = wire.decode(add(client, line()))["id"]
    settings.SSH_KEYS_CHANGED = [f"{__name__}.broken"]
    assert add(client, line("ecdsa-sha2-nistp256")).status_code == 500
    assert client.delete(f"{ROUTE}/{key_id}").status_code == 500
    assert [str(row.pk) for row in ann.user.ssh_keys.all()] == [key_id]


def test_keys_that_are_dropped_with_an_account_are_told_of_where_there_were_any(
    client: APIClient, ann: SignIn, noting: list[object]
) -> None:
    with transaction.atomic():
        ssh_keys.ssh_keys_drop(user=ann.user)
    assert noting == []
    add(client, line())
    with transaction.atomic():
        ssh_keys.ssh_keys_drop(user=ann.user)
    assert noting[1:] == [(ann.user.pk, 0)]
    assert authorized_keys(ann.user.pk) == (ann.user.platform_key.public_key,)


@pytest.mark.parametrize("key_id", ["x", "7", "00000000-0000-4000-8000-000000000000", "%00"])
def test_an_unknown_or_malformed_id_is_not_found(key_id: str, client: APIClient) -> None:
    wire.check_refusal(client.delete(f"{ROUTE}/{key_id}"), 404, "not_found")


def test_somebody_elses_key_is_not_found(
    client: APIClient, ben: SignIn, client_of: Callable[[SignIn], APIClient]
) -> None:
    key_id = wire.decode(add(client, line()))["id"]
    wire.check_refusal(client_of(ben).delete(f"{ROUTE}/{key_id}"), 404, "not_found")
    assert wire.decode(client_of(ben).get(ROUTE)) == []
    assert SSHKey.objects.count() == 1


def test_the_list_has_pages_and_two_queries(
    client: APIClient, django_assert_num_queries: Callable[[int], object]
) -> None:
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256"):
        add(client, line(kind))
    with django_assert_num_queries(3):  # the session, the page, the total
        response = client.get(f"{ROUTE}?limit=1&offset=1")
    assert [shown["public_key"].split()[0] for shown in wire.decode(response)] == ["ecdsa-sha2-nistp256"]
    assert response["X-Total-Count"] == "2"
    envelope = wire.decode(client.get(f"{ROUTE}?envelope=true"))
    assert (envelope["total"], len(envelope["ssh_keys"])) == (2, 2)


def changed_keys() -> Iterator[st.SearchStrategy[str]]:
    """A good line with a piece of it replaced."""
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"):
        good = line(kind, 3072 if kind == "ssh-rsa" else 0)
        yield st.builds(
            lambda start, length, piece, good=good: good[:start] + piece + good[start + length :],
            st.integers(0, len(good)),
            st.integers(0, 8),
            st.text(st.sampled_from("AZaz09+/= \t\n\x00é"), max_size=8) | st.text(max_size=3),
        )


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.deferred(lambda: st.one_of(st.text(), *changed_keys())))
def test_whatever_the_text_it_is_taken_or_refused(text: str) -> None:
    try:
        stored, fingerprint, comment = ssh_keys.parse_public_key(text)
    except InvalidInput:
        return
    assert "\n" not in stored
    assert ssh_keys.parse_public_key(stored) == (stored, fingerprint, comment)
    assert asyncssh.import_public_key(stored.encode()).get_fingerprint() == fingerprint
