from django.urls import re_path

from devpocket.api import ApiRouter
from environments.api import catalogue_views
from environments.api.action_views import ActionViewSet
from environments.api.logs_views import LogsViewSet
from environments.api.metrics_views import MetricsViewSet
from environments.api.snapshot_views import SnapshotViewSet
from environments.api.views import EnvironmentViewSet, EventViewSet

router = ApiRouter()
router.register("environments", EnvironmentViewSet, basename="environment")

ONE = r"^environments/(?P<pk>[^/]+)"
SNAPSHOT = rf"{ONE}/snapshots/(?P<sid>[^/]+)"
ACTIONS = ("start", "stop", "restart", "recover", "hibernate", "resize", "extend")

urlpatterns = [
    *router.urls,
    *(re_path(rf"{ONE}/{name}/?$", ActionViewSet.as_view({"post": name})) for name in ACTIONS),
    re_path(rf"{ONE}/events/?$", EventViewSet.as_view({"get": "list"})),
    re_path(rf"{ONE}/logs/?$", LogsViewSet.as_view({"get": "aretrieve"})),
    re_path(rf"{ONE}/metrics/?$", MetricsViewSet.as_view({"get": "aretrieve"})),
    re_path(rf"{ONE}/snapshot/?$", SnapshotViewSet.as_view({"post": "create"})),
    re_path(rf"{ONE}/snapshots/?$", SnapshotViewSet.as_view({"get": "list", "post": "create"})),
    re_path(rf"{SNAPSHOT}/?$", SnapshotViewSet.as_view({"get": "retrieve", "delete": "destroy"})),
    re_path(rf"{SNAPSHOT}/restore/?$", SnapshotViewSet.as_view({"post": "restore"})),
    re_path(r"^regions/?$", catalogue_views.RegionsView.as_view()),
    re_path(r"^sizes/?$", catalogue_views.SizesView.as_view()),
    re_path(r"^info/?$", catalogue_views.InfoView.as_view()),
    re_path(r"^clusters/?$", catalogue_views.ClustersView.as_view()),
    re_path(r"^clusters/(?P<cluster_id>[^/]+)/?$", catalogue_views.ClusterView.as_view()),
    re_path(r"^clusters/(?P<cluster_id>[^/]+)/health/?$", catalogue_views.ClusterView.as_view()),
]
