"""Settings that no environment variable changes: what devpocket calls of the apps above it, which it need not import.

Dotted names; settings.py takes them over.
"""

from __future__ import annotations

# Async context managers: what the server process runs beside requests, begun in this order and ended in reverse.
LIFESPAN_SERVICES = [
    "devpocket.watching.lifespan",
    "accounts.mailer.lifespan",
    "environments.cloudapi.lifespan",
    "environments.connections.lifespan",
    "terminals.lifespan.lifespan",
    "terminals.slots.lifespan",
    "terminals.presence.lifespan",
    "environments.provisioner.lifespan",
    "environments.upkeep.lifespan",
    "environments.sampler.lifespan",
    "environments.idle.lifespan",
]
ENVIRONMENT_COUNT = "environments.selectors.environment_count"
USER_STATS = "environments.selectors.user_stats"
IS_KNOWN_REGION = "environments.catalogue.is_known_region"
ACCOUNT_CLOSERS = [  # what goes before an account is anonymised
    "accounts.second_factor.second_factor_forget",
    "environments.services.environments_delete_all",
    "terminals.recordings.recordings_delete_all",
    "accounts.google.google_unlink",
]
ENCRYPTED_ELSEWHERE = ["accounts.second_factor.secrets_rotate"]  # secrets that no encrypted field has
SEALED_ELSEWHERE = ["accounts.second_factor.sealed_secrets"]  # the same, each as it is stored and whose it is
SSH_KEYS_CHANGED = ["environments.changes.environments_keys_changed"]  # who lets a user's keys in
# What a machine has to say of a template: check(template) gives sentences, preview(template) its size and text.
TEMPLATE_CHECK = "environments.set_up.preview.check_template"
TEMPLATE_PREVIEW = "environments.set_up.preview.template_preview"
# More of what is done now and then by one of all processes: (seconds between two runs, the async function).
UPKEEP_JOBS = {
    "recordings": (60.0, "terminals.upkeep.recordings_pruned"),
    "guest-links": (3600.0, "terminals.upkeep.guest_links_pruned"),
    "recording-orphans": (86400.0, "terminals.upkeep.orphans_deleted"),
}
READINESS_CHECKS = {"cloud_api": "environments.cloudapi.is_reachable"}
# Metrics that are the same in each process: (what they tell, their label, who reads them).
_OF_MAILS, _OF_ENVIRONMENTS = "accounts.gauges.mail_gauges", "environments.gauges.environment_gauges"
SHARED_GAUGES: dict[str, tuple[str, str, str]] = {
    "devpocket_mail_queue": ("Mails that are still to be delivered.", "", _OF_MAILS),
    "devpocket_mail_queue_age_seconds": ("Age of the oldest of them.", "", _OF_MAILS),
    "devpocket_environments": ("Environments by phase, but for deleted ones.", "phase", _OF_ENVIRONMENTS),
    "devpocket_provisioner_due": ("Rows that wait for a provisioner.", "", _OF_ENVIRONMENTS),
    "devpocket_provisioner_lag_seconds": ("How late the oldest of them is.", "", _OF_ENVIRONMENTS),
    "devpocket_cloud_budget_left": ("Calls that the budget has left.", "window", _OF_ENVIRONMENTS),
}
# What `manage.py doctor` looks at, in this order: (the check, what must have passed before it makes sense).
DOCTOR_CHECKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "settings": ("devpocket.doctor_checks.settings_are_sound", ()),
    "versions": ("devpocket.doctor_checks.versions", ()),
    "database": ("devpocket.doctor_checks.database", ()),
    "migrations": ("devpocket.doctor_checks.migrations", ("database",)),
    "encryption keys": ("devpocket.doctor_checks.encryption_keys", ("database",)),
    "redis": ("devpocket.doctor_checks.redis_answers", ()),
    "mail": ("devpocket.doctor_checks.mail", ()),
    "cloud token": ("environments.doctor.token", ()),
    "cloud scopes": ("environments.doctor.scopes", ("cloud token",)),
    "clock": ("environments.doctor.clock", ("cloud token",)),
    "port": ("devpocket.doctor_checks.port", ()),
    "disk": ("devpocket.doctor_checks.disk", ()),
}
