"""Endpoints that only a local cloud has: faults, the log of requests, changes from outside."""

from collections.abc import Awaitable, Callable

from environments.localcloud.cloud import Cloud
from environments.localcloud.faults import BadFault, Faults
from environments.localcloud.messages import Reply, Request, unprocessable
from environments.localcloud.traffic import Traffic


def routes(faults: Faults, traffic: Traffic) -> list[tuple[str, str, Callable[..., Reply | Awaitable[Reply]]]]:
    """The table of these endpoints, for this set of faults and this log."""

    def faults_list(cloud: Cloud, request: Request) -> Reply:
        return Reply(200, {"faults": [rule.as_json() for rule in faults.rules()], "given": dict(faults.given)})

    def faults_add(cloud: Cloud, request: Request) -> Reply:
        try:
            return Reply(201, {"fault": faults.add(request.json()).as_json()})
        except BadFault as error:
            raise unprocessable(str(error)) from None

    def faults_clear(cloud: Cloud, request: Request) -> Reply:
        faults.clear()
        return Reply(204)

    def requests_list(cloud: Cloud, request: Request) -> Reply:
        return Reply(200, {"requests": list(traffic.requests)})

    def requests_clear(cloud: Cloud, request: Request) -> Reply:
        traffic.requests.clear()
        return Reply(204)

    def busiest(cloud: Cloud, request: Request) -> Reply:
        return Reply(200, traffic.busiest())

    async def power_off(cloud: Cloud, request: Request, droplet: int) -> Reply:
        await cloud.droplets.cut_power(cloud.droplets.get(droplet))
        return Reply(204)

    def vanish(cloud: Cloud, request: Request, droplet: int) -> Reply:
        cloud.droplets.destroy(cloud.droplets.get(droplet))
        return Reply(204)

    return [
        ("GET", "/_localcloud/faults", faults_list),
        ("POST", "/_localcloud/faults", faults_add),
        ("DELETE", "/_localcloud/faults", faults_clear),
        ("GET", "/_localcloud/requests", requests_list),
        ("DELETE", "/_localcloud/requests", requests_clear),
        ("GET", "/_localcloud/busiest", busiest),
        ("POST", "/_localcloud/droplets/{droplet}/poweroff", power_off),
        ("POST", "/_localcloud/droplets/{droplet}/vanish", vanish),
    ]
