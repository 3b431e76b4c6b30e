"""What users change of themselves, and how an account is closed (contract section 4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts.errors import ReauthenticationRequired, UsernameTaken
from accounts.models import Mail, Session, User
from accounts.selectors import find_user
from accounts.services import sessions_revoke
from devpocket.errors import InvalidInput

log = structlog.get_logger(__name__)

RECENT = timedelta(minutes=15)  # how long a proof of who one is lets one close the account
FIELDS = ("full_name", "username", "avatar_url", "preferred_region", "record_terminals")


def user_update(*, user: User, **changes: Any) -> User:
    """Change some of FIELDS. Raises: UsernameTaken; then nothing was changed."""
    for name, value in changes.items():
        setattr(user, name, value)
    try:
        with transaction.atomic():
            user.save(update_fields=[*changes, "updated_at"])
    except IntegrityError as error:
        if (other := find_user(user.username)) is not None and other.pk != user.pk:
            raise UsernameTaken("This username is already taken.") from error
        raise
    return user


def user_delete(*, user: User, session: Session, password: str | None) -> None:
    """Close the account: machines first, then every session, then all that says who it was.

    The machines are torn down behind it, however long the cloud takes. Name and address are free again at once.

    Raises: InvalidInput on password; ReauthenticationRequired without one, when signing in was too long ago.
    """
    if password is not None:
        if not user.check_password(password):
            raise InvalidInput.field("password", "The password is not correct.")
    elif timezone.now() - session.auth_time > RECENT:
        raise ReauthenticationRequired("Please sign in again, and then delete your account.")
    with transaction.atomic():
        user.one_time_tokens.all().delete()
        # Whatever else is under way for this user (a new environment, another password) comes before or after.
        user = User.objects.select_for_update().get(pk=user.pk)
        for path in settings.ACCOUNT_CLOSERS:
            import_string(path)(user_id=user.pk)
        sessions_revoke(user=user, reason="deleted")
        user.sessions.update(ip=None, user_agent="")
        user.ssh_keys.all().delete()
        Mail.objects.filter(address=user.email).delete()
        anonymous = f"deleted-{user.pk.hex[:22]}"
        user.username, user.email = anonymous, f"{anonymous}@deleted.invalid"
        user.full_name = user.avatar_url = user.preferred_region = None
        user.is_active = user.is_verified = user.record_terminals = False
        user.set_unusable_password()
        user.save()
    log.info("account_deleted", user=str(user.pk))
