"""From a checked request to a new environment: what its plan, region and template leave open is decided here."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from passlib.hash import sha512_crypt

from accounts.errors import EmailNotVerified
from accounts.models import User
from accounts.plans import plan_limits
from devpocket.errors import InvalidInput
from environments.catalogue import Needs, choose_place, choose_region
from environments.idempotency import Repeatable
from environments.services import Created, environment_create
from templates_catalog.models import Template

DEFAULT_STORAGE_GB = 10
PASSWORD_ROUNDS = 100_000  # 50 ms; twenty times what a Debian machine itself would take


def check_may_create(user: User) -> None:
    """Raises: EmailNotVerified."""
    if settings.REQUIRE_EMAIL_VERIFICATION and not user.is_verified:
        raise EmailNotVerified("Please verify your email address before you create an environment.")


def create_from_request(user: User, wanted: dict[str, Any], *, repeatable: Repeatable | None = None) -> Created:
    """Create what a checked `CreateSerializer` describes. Sync; slow only where a password is hashed.

    Raises: InvalidInput, SizeNotAllowed, CloudTrouble, EnvironmentLimitReached, NameTaken.
    """
    template: Template = wanted["template"]
    cap_gb = plan_limits(user.plan).max_storage_gb
    storage_gb = wanted.get("storage_size_gb") or DEFAULT_STORAGE_GB
    if storage_gb > cap_gb:
        raise InvalidInput.field("storage_size_gb", f"Your plan allows at most {cap_gb} GB of storage.", "max_value")
    regions = choose_region(wanted.get("region"), user.preferred_region, settings.DO_DEFAULT_REGION)
    needs = Needs(**wanted["needs"], at_least=(template.config or {}).get("min_size"))
    region, size = choose_place(wanted.get("size"), among=regions, plan=user.plan, needs=needs)
    password = wanted.get("user_password")
    return environment_create(
        owner_id=user.pk,
        template=template,
        repeatable=repeatable,
        name=wanted["name"],
        description=wanted.get("description") or None,
        region=region.slug,
        size=size.slug,
        price_usd_per_hour=size.price_usd_per_hour,
        image=template.image,
        memory_mb=size.memory_mb,
        vcpus=size.vcpus,
        disk_gb=size.disk_gb,
        storage_size_gb=storage_gb,
        environment_variables=wanted.get("environment_variables") or {},
        # The Linux user's password, in the form that the machine keeps it in: it never leaves this function in clear.
        password_hash=sha512_crypt.using(rounds=PASSWORD_ROUNDS).hash(password) if password else "",
    )
