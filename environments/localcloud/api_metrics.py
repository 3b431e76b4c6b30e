"""Metrics of droplets: the host's, for each droplet that is on."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from environments.localcloud import fields
from environments.localcloud.cloud import Cloud
from environments.localcloud.hostmetrics import Sample
from environments.localcloud.messages import Reply, Request, unprocessable
from environments.localcloud.model import Droplet

Point = tuple[float, float]  # a time, and what was measured
Series = tuple[dict[str, str], list[Point]]  # labels, and the points
LATEST = 2**40  # seconds: more makes no date any more

DISK = {"device": "/dev/vda1", "fstype": "ext4", "mountpoint": "/"}


def _cpu(samples: Sequence[Sample], query: dict[str, str]) -> list[Series]:
    modes = dict.fromkeys(mode for sample in samples for mode in sample.cpu)
    return [({"mode": mode}, [(s.at, s.cpu[mode]) for s in samples if mode in s.cpu]) for mode in modes]


def _memory(name: str, samples: Sequence[Sample], query: dict[str, str]) -> list[Series]:
    return [({}, [(sample.at, sample.memory[name]) for sample in samples if name in sample.memory])]


def _filesystem(name: str, samples: Sequence[Sample], query: dict[str, str]) -> list[Series]:
    return [(DISK, [(sample.at, sample.filesystem[name]) for sample in samples])]


def _load(place: int, samples: Sequence[Sample], query: dict[str, str]) -> list[Series]:
    return [({}, [(sample.at, sample.load[place]) for sample in samples])]


def _bandwidth(samples: Sequence[Sample], query: dict[str, str]) -> list[Series]:
    """Megabits per second between samples. All traffic counts as public: there is no private network."""
    interface, direction = query.get("interface", ""), query.get("direction", "")
    if interface not in ("public", "private"):
        raise fields.missing("interface")
    if direction not in ("inbound", "outbound"):
        raise fields.missing("direction")
    points = [
        (after.at, 8e-6 * (after.traffic[direction] - before.traffic[direction]) / (after.at - before.at))
        for before, after in pairwise(samples)
        if direction in before.traffic and direction in after.traffic and after.at > before.at
    ]
    if interface == "private":
        points = [(at, 0.0) for at, _ in points]
    return [({"interface": interface, "direction": direction}, points)]


_MEASURES: dict[str, Callable[[Sequence[Sample], dict[str, str]], list[Series]]] = {
    "bandwidth": _bandwidth,
    "cpu": _cpu,
    "filesystem_free": partial(_filesystem, "free"),
    "filesystem_size": partial(_filesystem, "size"),
    "load_1": partial(_load, 0),
    "load_5": partial(_load, 1),
    "load_15": partial(_load, 2),
    "memory_available": partial(_memory, "available"),
    "memory_cached": partial(_memory, "cached"),
    "memory_free": partial(_memory, "free"),
    "memory_total": partial(_memory, "total"),
}
KINDS = tuple(_MEASURES)
WITHOUT_AGENT = ("bandwidth", "cpu")  # what is measured from outside


async def metrics_get(kind: str, cloud: Cloud, request: Request) -> Reply:
    """The samples of a kind between `start` and `end`; none of a droplet that is not there, or not on."""
    start, end = _time(request, "start"), _time(request, "end")
    host_id = request.query.get("host_id", "")
    if not host_id:
        raise fields.missing("host_id")
    series = _MEASURES[kind](await cloud.metrics.samples(), request.query)
    droplet = cloud.store.droplets.get(int(host_id)) if host_id.isascii() and host_id.isdigit() else None
    if droplet is None or not _is_measured(droplet, kind):
        series = []
    else:
        start = max(start, int(droplet.created_at))
    result: list[dict[str, Any]] = []
    for labels, points in series:
        values = [[int(at), f"{value:.12g}"] for at, value in points if start <= int(at) <= end]
        if values:
            result.append({"metric": {"host_id": host_id, **labels}, "values": values})
    return Reply(200, {"status": "success", "data": {"resultType": "matrix", "result": result}})


def _is_measured(droplet: Droplet, kind: str) -> bool:
    """Whether anybody measures it: most is the work of an agent, which is there only with `monitoring`."""
    return droplet.status == "active" and (kind in WITHOUT_AGENT or "monitoring" in droplet.features)


def _time(request: Request, name: str) -> int:
    text = request.query.get(name, "")
    if not (text.isascii() and text.isdigit() and int(text) < LATEST):
        raise unprocessable(f"{name} must be a time in Unix seconds.")
    return int(text)
