"""How all environments are, for every process's metrics (settings.SHARED_GAUGES)."""

from __future__ import annotations

from environments import budget, leases
from environments.lifecycle import Phase
from environments.selectors import environments_by_phase

Values = dict[str, dict[str, float]]


def environment_gauges() -> Values:
    by_phase = environments_by_phase()
    phases = {str(phase): by_phase.get(phase, 0) for phase in Phase if phase != Phase.TERMINATED}
    due, lag_s = leases.lag()
    minute, hour = budget.left()
    return {
        "devpocket_environments": phases,
        "devpocket_provisioner_due": {"": due},
        "devpocket_provisioner_lag_seconds": {"": lag_s},
        "devpocket_cloud_budget_left": {"minute": minute, "hour": hour},
    }
