"""Who is to be told that a row wants the provisioner."""

from devpocket.wakers import Wakers

provisioner = Wakers()
