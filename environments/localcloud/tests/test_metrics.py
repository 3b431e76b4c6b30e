"""Metrics."""

import time
from pathlib import Path
from typing import Any

import pytest

from environments.localcloud import hostmetrics
from environments.localcloud.api_metrics import KINDS
from environments.localcloud.hostmetrics import take_sample
from environments.localcloud.tests.conftest import Api

HOUR_S = 3600


async def read(api: Api, droplet: int | str, kind: str, **more: Any) -> list[Any]:
    """The series of one kind."""
    now = int(time.time())
    query = {"host_id": droplet, "start": now - HOUR_S, "end": now + HOUR_S, **more}
    if kind == "bandwidth":
        query = {"interface": "public", "direction": "inbound", **query}
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return list((await api.ok("GET", f"/v2/monitoring/metrics/droplet/{kind}?{text}"))["data"]["result"])


async def test_a_droplet_that_is_on_has_the_hosts_numbers(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    droplet = await api.create(monitoring=True)
    await api.until_status(droplet, "active")
    monkeypatch.setattr(hostmetrics, "FRESH_S", 0.0)  # so that there are several samples, and a rate between them
    found = {kind: await read(api, droplet, kind) for kind in KINDS}
    for kind, series in found.items():
        for one in series:
            assert one["metric"]["host_id"] == str(droplet), kind
            assert all(float(value) >= 0 for _, value in one["values"]), kind
    assert {one["metric"]["mode"] for one in found["cpu"]} >= {"idle", "user", "system"}
    (size,), (free,) = found["filesystem_size"], found["filesystem_free"]
    assert float(size["values"][0][1]) > float(free["values"][0][1]) > 0
    assert size["metric"]["mountpoint"] == "/"
    assert float(found["memory_total"][0]["values"][0][1]) > float(found["memory_free"][0]["values"][0][1])
    assert (await read(api, droplet, "bandwidth"))[0]["values"]
    (private,) = await read(api, droplet, "bandwidth", interface="private", direction="outbound")
    assert {float(value) for _, value in private["values"]} == {0.0}
    assert await read(api, droplet, "load_1", end=int(time.time()) - HOUR_S // 2) == []
    await api.act(droplet, "power_off")
    for kind in KINDS:
        assert await read(api, droplet, kind) == []


async def test_there_are_none_without_a_droplet_or_its_agent(api: Api) -> None:
    droplet = await api.create()
    await api.until_status(droplet, "active")
    for kind in KINDS:
        assert await read(api, 12, kind) == await read(api, "x", kind) == []
    assert await read(api, droplet, "memory_free") == []
    assert await read(api, droplet, "cpu")


async def test_all_parameters_are_needed(api: Api) -> None:
    good = {"host_id": "1", "start": "0", "end": "9", "interface": "public", "direction": "inbound"}
    for name in good:
        for bad in ("", "x"):
            if (name, bad) == ("host_id", "x"):
                continue
            query = "&".join(f"{key}={value}" for key, value in {**good, name: bad}.items())
            answer = await api.call("GET", f"/v2/monitoring/metrics/droplet/bandwidth?{query}")
            assert (answer.status, name in answer.body["message"]) == (422, True), query
    assert (await api.call("GET", f"/v2/monitoring/metrics/droplet/cpu?host_id=1&start=0&end={'9' * 99}")).status == 422


def test_a_system_without_proc_has_fewer_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostmetrics, "_PROC", tmp_path)
    sample = take_sample(tmp_path)
    assert (sample.cpu, sample.memory, sample.traffic) == ({}, {}, {})
    assert sample.filesystem["size"] > 0
