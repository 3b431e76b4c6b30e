from django.urls import re_path

from devpocket.api import ApiRouter
from environments.api import catalogue_views
from environments.api.metrics_views import MetricsViewSet
from environments.api.views import EnvironmentViewSet

router = ApiRouter()
router.register("environments", EnvironmentViewSet, basename="environment")

urlpatterns = [
    *router.urls,
    re_path(r"^environments/(?P<pk>[^/]+)/metrics/?$", MetricsViewSet.as_view({"get": "aretrieve"})),
    re_path(r"^regions/?$", catalogue_views.RegionsView.as_view()),
    re_path(r"^sizes/?$", catalogue_views.SizesView.as_view()),
    re_path(r"^info/?$", catalogue_views.InfoView.as_view()),
]
