"""The ASGI entry: HTTP to Django, WebSockets to the consumers, lifespan to the services beside them."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "devpocket.settings")
django.setup(set_prefix=False)  # loads the apps, so it comes before what imports models

from channels.routing import ProtocolTypeRouter  # noqa: E402

from devpocket.asgi_handler import KeptThreadsHandler  # noqa: E402
from devpocket.lifespan import lifespan  # noqa: E402
from terminals.routing import websocket_application  # noqa: E402

django_application = KeptThreadsHandler()
application = ProtocolTypeRouter({"http": django_application, "websocket": websocket_application, "lifespan": lifespan})
