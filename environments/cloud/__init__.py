"""A client of the cloud's HTTP API: typed answers out, four exceptions."""

from environments.cloud.client import CloudClient
from environments.cloud.errors import CloudError, CloudNotFound, CloudRejected, CloudThrottled, CloudUnreachable
from environments.cloud.types import Action, Droplet, DropletSnapshot, Firewall, Region, Size, Volume

__all__ = [
    "Action",
    "CloudClient",
    "CloudError",
    "CloudNotFound",
    "CloudRejected",
    "CloudThrottled",
    "CloudUnreachable",
    "Droplet",
    "DropletSnapshot",
    "Firewall",
    "Region",
    "Size",
    "Volume",
]
