from django.urls import re_path

from terminals.api.recording_views import RecordingViewSet
from terminals.api.session_views import SessionViewSet
from terminals.api.share_views import ShareViewSet
from terminals.api.ticket_views import TicketViewSet

ONE = r"^environments/(?P<pk>[^/]+)"
RECORDING = r"^terminal-recordings/(?P<pk>[^/]+)"

urlpatterns = [
    re_path(r"^ws/tickets/?$", TicketViewSet.as_view({"post": "create"})),
    re_path(rf"{ONE}/sessions/?$", SessionViewSet.as_view({"get": "alist", "delete": "destroy_all"})),
    re_path(rf"{ONE}/sessions/(?P<name>[^/]+)/?$", SessionViewSet.as_view({"delete": "adestroy"})),
    re_path(rf"{ONE}/terminal-shares/?$", ShareViewSet.as_view({"get": "list", "post": "create"})),
    re_path(rf"{ONE}/terminal-shares/(?P<sid>[^/]+)/?$", ShareViewSet.as_view({"delete": "destroy"})),
    re_path(r"^terminal-recordings/?$", RecordingViewSet.as_view({"get": "list"})),
    re_path(rf"{RECORDING}/?$", RecordingViewSet.as_view({"get": "retrieve", "delete": "destroy"})),
    re_path(rf"{RECORDING}/download/?$", RecordingViewSet.as_view({"get": "download"})),
]
