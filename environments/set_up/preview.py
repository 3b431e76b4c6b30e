"""User-data for people to look at, its secrets masked, and what there is to say against a template's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from django.conf import settings

from environments.cloud_init import USER_DATA_MAX_BYTES, MachineSpec, UserDataTooLarge, user_data
from environments.models import Environment
from environments.selectors import machine_spec
from environments.set_up.steps import recipe_of
from templates_catalog.models import Template

MASK = "********"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Of cloud-init 25.1 (config/schemas/schema-cloud-config-v1.json there; Apache-2.0 or GPL-3.0).
SCHEMA_FILE = Path(__file__).parent / "cloud-config-schema.json"
# What an owner may have of keys and a machine of names: a template that fits beside them fits everybody.
KEYS_ROOM_CHARS = 16 * 1024  # accounts.ssh_keys.KEYS_MAX_CHARS


@cache
def _schema() -> Any:
    return jsonschema.Draft4Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def sample_spec(template: Template, *, keys: tuple[str, ...] = ("ssh-ed25519 AAAA... you@example.org",)) -> MachineSpec:
    """What some machine of this template would be set up from."""
    return MachineSpec(
        hostname="sample",
        volume_name="dp-env-00000000-0000-4000-8000-000000000000",
        host_private_key=MASK,
        host_public_key="ssh-ed25519 AAAA... devpocket",
        authorized_keys=keys,
        environment_id="00000000-0000-4000-8000-000000000000",
        memory_mb=512,
        variables=dict(template.environment_variables),
        recipe=recipe_of(template.config, template.startup_commands, skips=settings.SETUP_SKIPS),
    )


def user_data_preview(template: Template, environment: Environment | None = None) -> str:
    """The user-data as a machine would get it, an environment's with its secrets masked. Raises: UserDataTooLarge."""
    if environment is None:
        return user_data(sample_spec(template))
    spec = machine_spec(environment)
    ours = set(template.environment_variables.items())
    return user_data(
        replace(
            spec,
            host_private_key=MASK,
            password_hash=MASK if spec.password_hash else "",
            variables={
                name: value if (name, value) in ours else MASK for name, value in sorted(spec.variables.items())
            },
        )
    )


def template_preview(template: Template) -> tuple[str, str]:
    """The size in words, and the user-data of some machine of this template; where it is too large, only that."""
    try:
        text = user_data_preview(template)
    except UserDataTooLarge as error:
        return str(error), ""
    return size_text(text), text


def check_template(template: Template) -> list[str]:
    """What cloud-init or the cloud would not take of a machine's set-up from this template; empty: nothing."""
    spec = sample_spec(template, keys=(KEYS_ROOM_CHARS * "k",))
    try:
        text = user_data(replace(spec, host_private_key="k" * 500))
    except UserDataTooLarge as error:
        return [f"The set-up of its machines is too large: {error}, keys of {KEYS_ROOM_CHARS} characters included."]
    return sorted(set(schema_problems(text)))


def schema_problems(text: str) -> Iterator[str]:
    """What cloud-init's own schema has against a `#cloud-config` text."""
    for error in _schema().iter_errors(yaml.load(text, Loader=_Loader)):  # noqa: S506 -- a safe loader
        yield f"{'.'.join(map(str, error.absolute_path)) or 'user-data'}: {error.message}"


def size_text(text: str) -> str:
    """How large it is, for people."""
    size = len(text.encode())
    return f"{size:,} of {USER_DATA_MAX_BYTES:,} bytes ({100 * size // USER_DATA_MAX_BYTES} %)"
