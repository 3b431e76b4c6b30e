"""The account and its SSH keys."""

import asyncssh

from environments.localcloud import fields
from environments.localcloud.cloud import Cloud
from environments.localcloud.messages import Reply, Request, not_found, page, unprocessable
from environments.localcloud.model import Key
from environments.localcloud.present import show_key

ACCOUNT = {
    "droplet_limit": 1000,
    "floating_ip_limit": 3,
    "email": "localcloud@example.com",
    "name": "Local Cloud",
    "uuid": "b7a2e8d04c5f4f6e9d3a1c2b5e6f7a8b",
    "email_verified": True,
    "status": "active",
    "status_message": "",
    "team": {"uuid": "5df3e3004a17e242b7c20ca6c9fc25b701a47ece", "name": "Local Cloud"},
}


def account_get(cloud: Cloud, request: Request) -> Reply:
    return Reply(200, {"account": ACCOUNT})


def keys_list(cloud: Cloud, request: Request) -> Reply:
    return page(request, "ssh_keys", list(cloud.store.keys.values()), show_key)


def keys_create(cloud: Cloud, request: Request) -> Reply:
    body = request.json()
    name, public_key = fields.text(body, "name"), fields.text(body, "public_key").strip()
    if not name or "\n" in public_key:
        raise unprocessable("Name and a single public key are needed.")
    try:
        fingerprint = asyncssh.import_public_key(public_key).get_fingerprint("md5").removeprefix("MD5:")
    except (asyncssh.KeyImportError, ValueError):
        raise unprocessable("Key invalid, key should be of the format `type key [comment]`") from None
    if any(key.fingerprint == fingerprint for key in cloud.store.keys.values()):
        raise unprocessable(
            "SSH Key is already in use on your account"
        )  # observed: digitalocean/ansible-collection#102
    key = Key(id=cloud.store.next_id("key"), name=name, public_key=public_key, fingerprint=fingerprint)
    cloud.store.save(key)
    return Reply(201, {"ssh_key": show_key(key)})


def find_key(cloud: Cloud, identifier: object) -> Key | None:
    """The key with this id or fingerprint."""
    text = str(identifier)
    if text.isascii() and text.isdigit():
        return cloud.store.keys.get(int(text))
    return next((key for key in cloud.store.keys.values() if key.fingerprint == text.lower()), None)


def _key(cloud: Cloud, identifier: str) -> Key:
    key = find_key(cloud, identifier)
    if key is None:
        raise not_found()
    return key


def keys_get(cloud: Cloud, request: Request, key: str) -> Reply:
    return Reply(200, {"ssh_key": show_key(_key(cloud, key))})


def keys_update(cloud: Cloud, request: Request, key: str) -> Reply:
    found = _key(cloud, key)
    found.name = fields.text(request.json(), "name", found.name)
    cloud.store.save(found)
    return Reply(200, {"ssh_key": show_key(found)})


def keys_delete(cloud: Cloud, request: Request, key: str) -> Reply:
    cloud.store.delete(_key(cloud, key))
    return Reply(204)
