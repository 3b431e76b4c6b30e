"""Everything that the product's client says to the cloud in a whole test run, held against the specification.

With WIRE_REPORTS=<directory> each test process puts a checking proxy before its local cloud and leaves a report there.
Afterwards `python -m devpocket.testing.wire_check <directory>` adds them up: no violation, and every operation that
the client has was used.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devpocket.testing.localcloud import LocalCloud
from devpocket.testing.validator import checking_proxy

VARIABLE = "WIRE_REPORTS"
# Every call of environments/cloud/client.py, by the specification's name for it.
REQUIRED = frozenset(
    """
    account_get actions_get dropletActions_list dropletActions_post droplets_create droplets_destroy
    droplets_destroy_byTag droplets_get droplets_list droplets_list_snapshots firewalls_create firewalls_list
    firewalls_update regions_list sizes_list snapshots_delete snapshots_list tags_create volumeActions_post_byId
    volumes_create volumes_delete volumes_get volumes_list
    """.split()
)
# Answers that a test asked for, and that no real API would specify.
ASKED_FOR = frozenset({"lose_answer", "hang", "html", "status"})


@contextmanager
def checked(cloud: LocalCloud, directory: Path, worker: str) -> Iterator[None]:
    """Have the product's client go through a checking proxy, if that is wanted."""
    reports = os.environ.get(VARIABLE)
    if not reports:
        yield
        return
    with checking_proxy(cloud.url, directory) as proxy:
        cloud.client_url = proxy.url
        yield
        cloud.client_url = cloud.url
        report = proxy.report()
    report["violations"] = _not_asked_for(report["violations"], cloud.requests_served())
    (Path(reports) / f"{worker}.json").write_text(json.dumps(report))


def _not_asked_for(violations: list[dict[str, Any]], served: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those that are the faults which tests had the local cloud commit, each excused once."""
    faults = Counter((one["method"], one["path"]) for one in served if one["fault"] in ASKED_FOR)
    left = []
    for violation in violations:
        place = (violation["method"], violation["url"].partition("?")[0])
        if violation["direction"] == "response" and faults[place] > 0:
            continue
        left.append(violation)
    return left


def main() -> int:
    found = [json.loads(path.read_text()) for path in sorted(Path(sys.argv[1]).glob("*.json"))]
    used = Counter(dict.fromkeys(REQUIRED, 0))
    for report in found:
        for name, statuses in report["operations"].items():
            used[name] += sum(statuses.values())
    violations = [violation for report in found for violation in report["violations"]]
    unused = sorted(name for name in REQUIRED if not used[name])
    sys.stdout.write(
        f"{sum(used.values())} exchanges in {len(found)} processes, {len(used) - len(unused)} operations, "
        f"{len(violations)} violations, never used: {', '.join(unused) or 'none'}\n"
    )
    for violation in violations[:20]:
        sys.stdout.write(f"{violation}\n")
    return 1 if violations or unused else 0


if __name__ == "__main__":
    sys.exit(main())
