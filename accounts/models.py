"""Who: users, their sessions with the chain of refresh tokens, and the key pair that the platform keeps for each."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.keys import generate_pair
from devpocket.crypto import EncryptedTextField


class Plan(models.TextChoices):
    FREE = "free"
    STARTER = "starter"
    PRO = "pro"
    ADMIN = "admin"


class UserManager(BaseUserManager):
    def build_user(
        self, username: str, email: str, password: str | None = None, **fields: Any
    ) -> tuple[User, PlatformKey]:
        """A user and their platform key, neither of them saved.

        Hashing is slow on purpose: call it before the transaction, which holds SQLite's only write lock.
        """
        user = self.model(username=username, email=email.lower(), **fields)
        user.set_password(password)
        pair = generate_pair()
        return user, PlatformKey(user=user, public_key=pair.public, private_key=pair.private)

    def create_user(self, username: str, email: str, password: str | None = None, **fields: Any) -> User:
        user, key = self.build_user(username, email, password, **fields)
        with transaction.atomic(using=self._db):
            user.save(using=self._db, force_insert=True)
            key.save(using=self._db, force_insert=True)
        return user

    def create_superuser(self, username: str, email: str, password: str | None = None, **fields: Any) -> User:
        fields = {"is_staff": True, "is_superuser": True, "is_verified": True, "plan": Plan.ADMIN, **fields}
        return self.create_user(username, email, password, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(username__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = models.CharField(max_length=30, unique=True)
    email = models.EmailField(max_length=254)  # lower case
    full_name = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001 -- null goes over the wire as null
    avatar_url = models.URLField(max_length=500, null=True, blank=True)  # noqa: DJ001
    preferred_region = models.CharField(max_length=50, null=True, blank=True)  # noqa: DJ001
    plan = models.CharField(max_length=10, choices=Plan, default=Plan.FREE)
    record_terminals = models.BooleanField(default=False, db_default=False)  # where ?record= does not say
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    is_verified = models.BooleanField(default=False)
    # Wrong passwords in a row. They lock signing in by password for a while; sessions that are open live on.
    failed_logins = models.PositiveSmallIntegerField(default=0)
    last_failed_at = models.DateTimeField(null=True, blank=True)
    locked_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["email"]

    objects = UserManager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["-created_at"], name="user_created")]
        constraints = [
            models.UniqueConstraint(Lower("username"), name="user_username_unique"),
            models.UniqueConstraint(Lower("email"), name="user_email_unique"),
        ]

    def __str__(self) -> str:
        return self.username

    def clean(self) -> None:
        super().clean()
        self.email = self.email.lower()  # the admin's forms come this way

    @property
    def is_locked(self) -> bool:
        """Too many wrong passwords, not long ago."""
        return self.locked_until is not None and self.locked_until > timezone.now()


class Session(models.Model):
    """One sign-in on one device, from password or Google to logout. Its id is the `sid` of its tokens."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    auth_time = models.DateTimeField()  # the last proof of who they are, carried along by every refresh
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)  # sign-in or refresh
    expires_at = models.DateTimeField()  # of the newest refresh token
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=20, blank=True)  # logout, reuse, password, admin, deleted
    user_agent = models.CharField(max_length=200, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        ordering = ["-last_used_at"]
        indexes = [
            models.Index(fields=["user", "revoked_at"]),
            models.Index(fields=["-last_used_at"], name="session_used"),
        ]

    def __str__(self) -> str:
        return f"session {self.pk}"


class RefreshToken(models.Model):
    """A link of a session's refresh chain. The token itself is a JWT and is stored nowhere; this is its `jti`."""

    jti = models.CharField(primary_key=True, max_length=32)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="refresh_tokens")
    expires_at = models.DateTimeField(db_index=True)
    rotated_at = models.DateTimeField(null=True, blank=True)  # first use; a second one within the grace time is allowed

    def __str__(self) -> str:
        return f"refresh token of {self.session_id}"


class PlatformKey(models.Model):
    """The Ed25519 pair with which the platform reaches a user's machines. One a user, made with the account."""

    user = models.OneToOneField(User, primary_key=True, on_delete=models.CASCADE, related_name="platform_key")
    public_key = models.TextField()  # OpenSSH, one line
    private_key = EncryptedTextField()  # OpenSSH PEM
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"platform key of {self.user_id}"


class OneTimeToken(models.Model):
    """The link and six digits of the newest mail for a purpose: either is good for it, once. Only hashes are kept."""

    class Purpose(models.TextChoices):
        VERIFY_EMAIL = "verify_email"
        RESET_PASSWORD = "reset_password"  # noqa: S105 -- a word, no secret

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="one_time_tokens")
    purpose = models.CharField(max_length=20, choices=Purpose)
    link_hash = models.CharField(max_length=64, unique=True)
    code_hash = models.CharField(max_length=64)
    link_expires_at = models.DateTimeField()
    code_expires_at = models.DateTimeField()
    wrong_codes = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "purpose"], name="one_time_token_unique")]

    def __str__(self) -> str:
        return f"{self.purpose} of {self.user_id}"


class Mail(models.Model):
    """A mail to be sent. It is written when it is delivered, so that no code or link lies in the database."""

    class Kind(models.TextChoices):
        VERIFY_EMAIL = "verify_email"
        RESET_PASSWORD = "reset_password"  # noqa: S105 -- a word, no secret
        PASSWORD_CHANGED = "password_changed"  # noqa: S105
        IDLE_WARNING = "idle_warning"

    kind = models.CharField(max_length=20, choices=Kind)
    address = models.CharField(max_length=254)  # lower case; whether anybody has it is found out when it is delivered
    # What this app can't look up when the mail is written; nothing secret. The default in the database is for the code
    # of the release before, which runs on this table while servers are being replaced.
    context = models.JSONField(default=dict, db_default={})
    created_at = models.DateTimeField(default=timezone.now)
    next_try_at = models.DateTimeField(null=True, blank=True, default=timezone.now, db_index=True)  # null: done
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["-created_at"], name="mail_created")]

    def __str__(self) -> str:
        return f"{self.kind} to {self.address}"


class SSHKey(models.Model):
    """A public key of a user's own, let into all their machines."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="ssh_keys")
    name = models.CharField(max_length=100)
    public_key = models.TextField()  # one OpenSSH line, its comment kept
    fingerprint = models.CharField(max_length=60)  # SHA256:..., as ssh-keygen -l prints it
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["created_at"]
        indexes = [models.Index(fields=["created_at"], name="ssh_key_created")]
        constraints = [models.UniqueConstraint(fields=["user", "fingerprint"], name="ssh_key_unique")]

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint})"
