"""How the mails are, for every process's metrics (settings.SHARED_GAUGES)."""

from __future__ import annotations

from django.db.models import Count, Min
from django.utils import timezone

from accounts.models import Mail


def mail_gauges() -> dict[str, dict[str, float]]:
    """Mails that are still to be delivered, and the age of the oldest in seconds."""
    queue = Mail.objects.filter(next_try_at__isnull=False).aggregate(mails=Count("pk"), oldest=Min("created_at"))
    age_s = 0.0 if queue["oldest"] is None else (timezone.now() - queue["oldest"]).total_seconds()
    return {"devpocket_mail_queue": {"": queue["mails"]}, "devpocket_mail_queue_age_seconds": {"": age_s}}
