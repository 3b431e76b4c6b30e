"""The table of routes. In a path {droplet} and {action} are numbers, other names any text without a slash."""

from collections.abc import Awaitable, Callable
from functools import partial

from environments.localcloud import (
    api_account,
    api_actions,
    api_catalog,
    api_droplets,
    api_firewalls,
    api_metrics,
    api_snapshots,
    api_tags,
    api_volumes,
)
from environments.localcloud.messages import Reply

Handler = Callable[..., Reply | Awaitable[Reply]]

# Earlier ones win: /v2/volumes/actions before /v2/volumes/{volume}.
ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/v2/account", api_account.account_get),
    ("GET", "/v2/account/keys", api_account.keys_list),
    ("POST", "/v2/account/keys", api_account.keys_create),
    ("GET", "/v2/account/keys/{key}", api_account.keys_get),
    ("PUT", "/v2/account/keys/{key}", api_account.keys_update),
    ("DELETE", "/v2/account/keys/{key}", api_account.keys_delete),
    ("GET", "/v2/sizes", api_catalog.sizes_list),
    ("GET", "/v2/regions", api_catalog.regions_list),
    ("GET", "/v2/images", api_catalog.images_list),
    ("GET", "/v2/images/{image}", api_catalog.images_get),
    ("GET", "/v2/actions", api_actions.actions_list),
    ("GET", "/v2/actions/{action}", api_actions.actions_get),
    ("GET", "/v2/droplets", api_droplets.droplets_list),
    ("POST", "/v2/droplets", api_droplets.droplets_create),
    ("DELETE", "/v2/droplets", api_droplets.droplets_delete_by_tag),
    ("POST", "/v2/droplets/actions", api_actions.droplet_actions_create_by_tag),
    ("GET", "/v2/droplets/{droplet}", api_droplets.droplets_get),
    ("DELETE", "/v2/droplets/{droplet}", api_droplets.droplets_delete),
    ("GET", "/v2/droplets/{droplet}/actions", api_actions.droplet_actions_list),
    ("POST", "/v2/droplets/{droplet}/actions", api_actions.droplet_actions_create),
    ("GET", "/v2/droplets/{droplet}/actions/{action}", api_actions.droplet_actions_get),
    ("GET", "/v2/droplets/{droplet}/snapshots", api_droplets.droplet_snapshots_list),
    ("GET", "/v2/droplets/{droplet}/firewalls", api_firewalls.droplet_firewalls_list),
    ("GET", "/v2/firewalls", api_firewalls.firewalls_list),
    ("POST", "/v2/firewalls", api_firewalls.firewalls_create),
    ("GET", "/v2/firewalls/{firewall}", api_firewalls.firewalls_get),
    ("PUT", "/v2/firewalls/{firewall}", api_firewalls.firewalls_update),
    ("DELETE", "/v2/firewalls/{firewall}", api_firewalls.firewalls_delete),
    ("POST", "/v2/firewalls/{firewall}/droplets", api_firewalls.droplets_add),
    ("DELETE", "/v2/firewalls/{firewall}/droplets", api_firewalls.droplets_remove),
    ("POST", "/v2/firewalls/{firewall}/tags", api_firewalls.tags_add),
    ("DELETE", "/v2/firewalls/{firewall}/tags", api_firewalls.tags_remove),
    ("POST", "/v2/firewalls/{firewall}/rules", api_firewalls.rules_add),
    ("DELETE", "/v2/firewalls/{firewall}/rules", api_firewalls.rules_remove),
    ("GET", "/v2/snapshots", api_snapshots.snapshots_list),
    ("GET", "/v2/snapshots/{snapshot}", api_snapshots.snapshots_get),
    ("DELETE", "/v2/snapshots/{snapshot}", api_snapshots.snapshots_delete),
    ("GET", "/v2/volumes", api_volumes.volumes_list),
    ("POST", "/v2/volumes", api_volumes.volumes_create),
    ("DELETE", "/v2/volumes", api_volumes.volumes_delete_by_name),
    ("POST", "/v2/volumes/actions", api_volumes.volume_actions_create_by_name),
    ("GET", "/v2/volumes/snapshots/{snapshot}", api_snapshots.volume_snapshots_get),
    ("DELETE", "/v2/volumes/snapshots/{snapshot}", api_snapshots.volume_snapshots_delete),
    ("GET", "/v2/volumes/{volume}/snapshots", api_snapshots.volume_snapshots_list),
    ("POST", "/v2/volumes/{volume}/snapshots", api_snapshots.volume_snapshots_create),
    ("GET", "/v2/volumes/{volume}", api_volumes.volumes_get),
    ("DELETE", "/v2/volumes/{volume}", api_volumes.volumes_delete),
    ("GET", "/v2/volumes/{volume}/actions", api_volumes.volume_actions_list),
    ("POST", "/v2/volumes/{volume}/actions", api_volumes.volume_actions_create),
    ("GET", "/v2/volumes/{volume}/actions/{action}", api_volumes.volume_actions_get),
    ("GET", "/v2/tags", api_tags.tags_list),
    ("POST", "/v2/tags", api_tags.tags_create),
    ("GET", "/v2/tags/{tag}", api_tags.tags_get),
    ("DELETE", "/v2/tags/{tag}", api_tags.tags_delete),
    ("POST", "/v2/tags/{tag}/resources", api_tags.tags_assign),
    ("DELETE", "/v2/tags/{tag}/resources", api_tags.tags_unassign),
    *(
        ("GET", f"/v2/monitoring/metrics/droplet/{kind}", partial(api_metrics.metrics_get, kind))
        for kind in api_metrics.KINDS
    ),
]
