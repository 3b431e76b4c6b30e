"""What runs: environments, and what happened to them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from devpocket.crypto import EncryptedJSONField, EncryptedTextField
from environments.lifecycle import Desired, Phase
from templates_catalog.models import Template


def _choices(words: type[Phase] | type[Desired]) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in words]


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
    memory_mb = models.PositiveIntegerField()  # of `size`, kept so that showing an environment needs no cloud call
    vcpus = models.PositiveIntegerField()
    disk_gb = models.PositiveIntegerField()
    storage_size_gb = models.PositiveIntegerField()
    environment_variables = EncryptedJSONField(default=dict)
    password_hash = models.CharField(
        max_length=200, blank=True
    )  # crypt(3) text for the Linux user; empty: key login only
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    updated_at = models.DateTimeField(auto_now=True)
    last_activity_at = models.DateTimeField(null=True, blank=True)

    # What is wanted and what is.
    desired_state = models.CharField(max_length=12, choices=_choices(Desired), default=Desired.RUNNING)
    phase = models.CharField(max_length=12, choices=_choices(Phase), default=Phase.CREATING)
    phase_changed_at = models.DateTimeField(default=timezone.now)
    deadline_at = models.DateTimeField(null=True, blank=True)  # of the phase; past it the phase is given up
    progress = models.PositiveSmallIntegerField(default=0)  # percent
    status_message = models.CharField(max_length=300, blank=True)
    installation_completed = models.BooleanField(default=False)
    error_code = models.CharField(max_length=50, blank=True)
    error_message = models.CharField(max_length=300, blank=True)
    error_phase = models.CharField(max_length=12, blank=True)
    error_at = models.DateTimeField(null=True, blank=True)

    # At the cloud. Each *_requested_at is written before its call, so that a lost answer is looked for afterwards.
    volume_requested_at = models.DateTimeField(null=True, blank=True)
    volume_id = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    droplet_requested_at = models.DateTimeField(null=True, blank=True)
    droplet_id = models.BigIntegerField(null=True, blank=True)
    droplet_ip = models.GenericIPAddressField(null=True, blank=True)
    action_requested_at = models.DateTimeField(null=True, blank=True)  # the power action of the present phase
    torn_down_at = models.DateTimeField(null=True, blank=True)  # droplet and volume are confirmed gone

    # The machine's SSH host key, made by us and injected, so that the first connection is already verified.
    host_public_key = models.TextField()
    host_private_key = EncryptedTextField()

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
        indexes = [models.Index(fields=["environment", "at"])]

    def __str__(self) -> str:
        return f"{self.kind} ({self.phase})"
