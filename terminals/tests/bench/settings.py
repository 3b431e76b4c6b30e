"""The product's settings for a server whose one machine is the harness's own sshd: nobody looks after it at a cloud."""

from devpocket.settings import *  # noqa: F403
from devpocket.settings import LIFESPAN_SERVICES as ALL

DEBUG = False
LIFESPAN_SERVICES = [name for name in ALL if name.startswith(("environments.connections", "terminals"))]
