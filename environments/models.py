"""What runs: environments, and what happened to them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils import timezone

from devpocket.crypto import EncryptedJSONField, EncryptedTextField
from environments.lifecycle import Desired, Phase, TerminalWhen
from templates_catalog.models import Template


def _choices(words: type[Phase] | type[Desired] | type[TerminalWhen]) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in words]


# Columns that came after the first release have a default in the database too (db_default): the code of the release
# before runs on them while servers are being replaced, and knows nothing of them.


class Environment(models.Model):
    """A machine of a user's own: what is wanted (`desired_state`), what is (`phase`), and what it has at the cloud."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="environments")
    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="environments")
    name = models.CharField(max_length=50)
    slug = models.CharField(max_length=63)  # a host name
    description = models.CharField(max_length=500, null=True, blank=True)  # noqa: DJ001 -- null goes over the wire as null
    region = models.CharField(max_length=50)
    size = models.CharField(max_length=50)
    image = models.CharField(max_length=200)
    price_usd_per_hour = models.FloatField(
        default=0.0, db_default=0.0
    )  # of `size` when it was chosen; showing needs no cloud call
    memory_mb = models.PositiveIntegerField()  # of `size`, kept so that showing an environment needs no cloud call
    vcpus = models.PositiveIntegerField()
    disk_gb = models.PositiveIntegerField()
    storage_size_gb = models.PositiveIntegerField()  # wanted; what the volume has is volume_size_gb
    environment_variables = EncryptedJSONField(default=dict)
    password_hash = models.CharField(
        max_length=200, blank=True
    )  # crypt(3) text for the Linux user; empty: key login only
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    updated_at = models.DateTimeField(auto_now=True)
    last_activity_at = models.DateTimeField(null=True, blank=True)  # somebody at a terminal
    variables_changed_at = models.DateTimeField(null=True, blank=True)
    variables_told_at = models.DateTimeField(null=True, blank=True)  # which change of them the machine knows
    keys_changed_at = models.DateTimeField(null=True, blank=True)  # of its owner: who may log in
    keys_told_at = models.DateTimeField(null=True, blank=True)

    # What is wanted and what is.
    desired_state = models.CharField(max_length=12, choices=_choices(Desired), default=Desired.RUNNING)
    phase = models.CharField(max_length=12, choices=_choices(Phase), default=Phase.CREATING)
    phase_changed_at = models.DateTimeField(default=timezone.now)
    deadline_at = models.DateTimeField(null=True, blank=True)  # of the phase; past it the phase is given up
    progress = models.PositiveSmallIntegerField(default=0)  # percent
    status_message = models.CharField(max_length=300, blank=True)
    terminal_when = models.CharField(
        max_length=8, choices=_choices(TerminalWhen), default=TerminalWhen.SSH, db_default=TerminalWhen.COMPLETE.value
    )  # of the template when it was made; the code of the release before knows only the latter
    installation_completed = models.BooleanField(default=False)
    install_percent = models.PositiveSmallIntegerField(default=0, db_default=0)  # the machine's own account of it
    install_phase = models.CharField(max_length=40, blank=True, default="", db_default="")  # contract 9.5
    install_message = models.CharField(max_length=200, blank=True, default="", db_default="")
    install_error = models.CharField(max_length=300, blank=True, default="", db_default="")  # why it isn't followed
    error_code = models.CharField(max_length=50, blank=True)
    error_message = models.CharField(max_length=300, blank=True)
    error_phase = models.CharField(max_length=12, blank=True)
    error_at = models.DateTimeField(null=True, blank=True)

    # Where a phase goes to: what a resize leads to and returns to, which snapshot a restart restores.
    resize_to = models.JSONField(null=True, blank=True)  # {"size", "memory_mb", "vcpus", "disk_gb", "price", "disk"}
    return_phase = models.CharField(max_length=12, blank=True, default="", db_default="")
    restore_from = models.ForeignKey("Snapshot", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    # At the cloud. Each *_requested_at is written before its call, so that a lost answer is looked for afterwards.
    volume_requested_at = models.DateTimeField(null=True, blank=True)
    volume_id = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    volume_size_gb = models.PositiveIntegerField(default=0, db_default=0)
    filesystem_size_gb = models.PositiveIntegerField(
        default=0, db_default=0
    )  # what the file system on it was last grown to
    droplet_requested_at = models.DateTimeField(null=True, blank=True)
    droplet_id = models.BigIntegerField(null=True, blank=True)
    droplet_ip = models.GenericIPAddressField(null=True, blank=True)
    action_kind = models.CharField(
        max_length=20, blank=True, default="", db_default=""
    )  # the cloud action of the present phase
    action_requested_at = models.DateTimeField(null=True, blank=True)
    action_id = models.BigIntegerField(null=True, blank=True)
    action_failures = models.PositiveSmallIntegerField(default=0, db_default=0)  # in this phase: errored at the cloud
    last_action_id = models.BigIntegerField(default=0, db_default=0)  # a lost action of ours has a larger one
    torn_down_at = models.DateTimeField(null=True, blank=True)  # droplet and volume are confirmed gone

    # The machine's SSH host key, made by us and injected, so that the first connection is already verified.
    host_public_key = models.TextField()
    host_private_key = EncryptedTextField()

    # What it costs: the rate since `billing_since`, and what had come together in that month before (billing.py).
    snapshots_gb = models.FloatField(default=0.0, db_default=0.0)
    billing_usd_per_hour = models.FloatField(default=0.0, db_default=0.0)
    billing_since = models.DateTimeField(default=timezone.now, db_default=Now())
    billing_month_usd = models.FloatField(default=0.0, db_default=0.0)

    # How busy it is (metrics.py) and when it is stopped for being idle (idle.py).
    cpu_percent = models.FloatField(null=True, blank=True)
    memory_percent = models.FloatField(null=True, blank=True)
    storage_percent = models.FloatField(null=True, blank=True)
    sample_due_at = models.DateTimeField(null=True, blank=True, db_index=True)  # null while it doesn't run
    busy_at = models.DateTimeField(null=True, blank=True)  # CPU or terminal output, seen on the machine
    idle_extended_until = models.DateTimeField(null=True, blank=True)
    idle_warned_at = models.DateTimeField(null=True, blank=True)
    last_stop_reason = models.CharField(
        max_length=20, blank=True, default="", db_default=""
    )  # user, admin, idle, hibernate, outside

    # The provisioner's: who works on the row until when, and when to look next (null: nothing to do).
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    next_step_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    failed_steps = models.PositiveIntegerField(default=0)  # in a row; sets the back-off

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["next_step_at"]), models.Index(fields=["owner", "-created_at"])]
        constraints = [
            models.UniqueConstraint(
                "owner", Lower("name"), condition=~Q(phase=Phase.TERMINATED.value), name="environment_name_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def tag(self) -> str:
        """What marks all that this environment has at the cloud; also the name of its droplet and volume."""
        return f"dp-env-{self.pk}"

    @property
    def is_being_set_up(self) -> bool:
        """It runs, and what isn't installed yet is being installed behind its terminals."""
        return self.phase == Phase.RUNNING and not self.installation_completed and not self.install_error


class Snapshot(models.Model):
    """A copy of a machine's disk at the cloud; the volume, and so the home directory, is not in it."""

    class Kind(models.TextChoices):
        USER = "user"
        HIBERNATION = "hibernation"  # what a hibernated machine comes back from; not shown to its owner

    class Status(models.TextChoices):
        PENDING = "pending"
        AVAILABLE = "available"
        ERROR = "error"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="snapshots")
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.USER)
    name = models.CharField(max_length=100)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    region = models.CharField(max_length=50)
    created_at = models.DateTimeField(default=timezone.now)
    completed_at = models.DateTimeField(null=True, blank=True)
    size_gb = models.FloatField(null=True, blank=True)
    min_disk_gb = models.PositiveIntegerField(default=0)
    cloud_snapshot_id = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    requested_at = models.DateTimeField(null=True, blank=True)  # written before the call
    action_id = models.BigIntegerField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    error_message = models.CharField(max_length=300, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)  # unwanted; the row goes when the cloud confirms

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["-created_at"], name="snapshot_created")]
        constraints = [
            # Two requests at once: one snapshot. Also the cloud does one action of a droplet at a time.
            models.UniqueConstraint(fields=["environment"], condition=Q(status="pending"), name="snapshot_one_pending")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def cloud_name(self) -> str:
        """What it is called at the cloud: snapshots have no tags, so the name says whose it is."""
        return f"dp-env-{self.environment_id}-{self.pk.hex[:12]}"


class IdempotencyKey(models.Model):
    """The first answer to a create that was sent with an `Idempotency-Key`, for 24 hours."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)  # SHA-256 of the body: the same key with another body is a mistake
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="+")
    answer = EncryptedJSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_unique")]

    def __str__(self) -> str:
        return self.key


class MetricSample(models.Model):
    """How busy a machine was, once a minute for 7 days. Percentages 0 to 100; network in bytes since its boot."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField(default=timezone.now, db_index=True)
    cpu_usage = models.FloatField(null=True)
    memory_usage = models.FloatField(null=True)
    storage_usage = models.FloatField(null=True)
    network_rx = models.BigIntegerField(null=True)
    network_tx = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["at"]
        indexes = [models.Index(fields=["environment", "at"])]

    def __str__(self) -> str:
        return f"sample of {self.environment_id} at {self.at:%Y-%m-%d %H:%M}"


class CloudReport(models.Model):
    """What the reaper found at the cloud that no environment owns, and what it did about it."""

    at = models.DateTimeField(default=timezone.now)
    deletes = models.BooleanField(default=False)  # a dry run otherwise
    seen = models.PositiveIntegerField(default=0)  # droplets, volumes and snapshots that are ours
    found = models.JSONField(default=list)  # [{"kind", "id", "name", "environment", "reason", "deleted"}]
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}: {len(self.found)} found"


class EnvironmentEvent(models.Model):
    """One change in an environment's life, for its owner and for operators."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=40)  # create_requested, phase_changed, error, ...
    phase = models.CharField(max_length=12)
    message = models.CharField(max_length=300, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    cloud_request_id = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["at", "id"]
        indexes = [
            models.Index(fields=["environment", "at"]),
            models.Index(fields=["-at", "-id"], name="event_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.phase})"
