"""What is known of terminals beyond the process that serves them: open ones, recordings, and links for guests."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from environments.models import Environment


class Mode(models.TextChoices):
    WRITE = "write"
    VIEW = "view"


class TerminalShare(models.Model):
    """A link that opens one session of an environment to whoever has it. Only the token's digest is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="terminal_shares")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    session = models.CharField(max_length=32, blank=True)  # empty: the environment's own
    mode = models.CharField(max_length=5, choices=Mode, default=Mode.VIEW)
    token_digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    opened_count = models.PositiveIntegerField(default=0)
    last_opened_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["environment", "-created_at"], name="terminal_share_of"),
            models.Index(fields=["-created_at"], name="terminal_share_created"),
        ]

    def __str__(self) -> str:
        return f"{self.get_mode_display()} link of {self.environment_id}"


class OpenTerminal(models.Model):
    """A WebSocket that is open now. Its process says every half minute that it still is (terminals/presence.py)."""

    class Kind(models.TextChoices):
        TERMINAL = "terminal"
        LOGS = "logs"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    process = models.CharField(max_length=100)  # host, process id and a random part
    channel_name = models.CharField(max_length=200)  # where its consumer is reached, in the channel layer
    kind = models.CharField(max_length=8, choices=Kind)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    share = models.ForeignKey(TerminalShare, null=True, on_delete=models.CASCADE, related_name="viewers")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="open_terminals")
    session = models.CharField(max_length=100, blank=True)  # tmux's name of it; empty without tmux
    mode = models.CharField(max_length=5, choices=Mode, default=Mode.WRITE)
    opened_at = models.DateTimeField(default=timezone.now, editable=False)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-opened_at"]
        indexes = [
            models.Index(fields=["process"], name="open_terminal_process"),
            models.Index(fields=["seen_at"], name="open_terminal_seen"),
            models.Index(fields=["-opened_at"], name="open_terminal_opened"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.environment_id}"


class Recording(models.Model):
    """The output of a terminal, as an asciicast v2 file in Django's storage. What was typed is not in it."""

    class State(models.TextChoices):
        RECORDING = "recording"
        COMPLETE = "complete"
        LIMITED = "limited", "complete up to the size limit"
        BROKEN = "broken", "cut off: its process ended"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recordings")
    environment = models.ForeignKey(Environment, null=True, on_delete=models.SET_NULL, related_name="recordings")
    environment_name = models.CharField(max_length=100)
    session = models.CharField(max_length=32, blank=True)
    state = models.CharField(max_length=9, choices=State, default=State.RECORDING)
    file = models.FileField(max_length=200, blank=True)
    size_bytes = models.PositiveBigIntegerField(default=0)
    duration_s = models.FloatField(default=0)
    cols = models.PositiveSmallIntegerField(default=80)
    rows = models.PositiveSmallIntegerField(default=24)
    started_at = models.DateTimeField(default=timezone.now, editable=False)
    seen_at = models.DateTimeField(default=timezone.now)  # its process was last known to write it
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-started_at"]
        indexes = [
            models.Index(fields=["owner", "-started_at"], name="recording_of"),
            models.Index(fields=["state", "seen_at"], name="recording_state"),
            models.Index(fields=["started_at"], name="recording_started"),
        ]

    def __str__(self) -> str:
        return f"Recording of {self.environment_name}"
