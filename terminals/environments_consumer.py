"""The WebSocket of all environments of a user: how each is, as it changes.

Who may connect, and how it ends, is as with a terminal (contract 9.1, 9.4, 9.6), but for guests, who have no list, and
for the number of connections, which is counted for itself. Nobody uses a machine by looking at it here.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from devpocket.flags import Flag
from devpocket.nudges import owner_group, session_group
from terminals import access, counters
from terminals.access import Refused, check_sign_in, look_at_all
from terminals.environment_news import Shown, Untold, is_under_way
from terminals.models import Mode
from terminals.sockets import ClientSocket

KIND = "environments"
_open_here: set[str] = set()  # of this process, by channel name

counters.sockets_watch({(KIND, Mode.VIEW): lambda: len(_open_here)})


class EnvironmentsConsumer(ClientSocket[list[Shown] | None]):
    """One client. A task of its own tells what was seen: a client that reads nothing must not keep its revocation from
    being noticed.
    """

    kind = KIND
    too_many = access.TOO_MANY_LISTS
    gather_s: ClassVar[float] = 0.2

    owner_id: UUID
    session_id: UUID

    def __init__(self) -> None:
        super().__init__()
        self.untold = Untold()
        self.has_untold = Flag()

    # --- Getting in

    def identify(self) -> None:
        self.session_id, self.owner_id = check_sign_in(self.handshake)

    def groups(self) -> list[str]:
        return [owner_group(self.owner_id), session_group(self.session_id)]

    def _sign_on(self) -> list[Shown]:
        found = self.look()
        if found is None:
            raise Refused(*access.AUTHENTICATION_FAILED)
        self.take_slot(f"{KIND}.{self.owner_id}")
        return found

    async def serve(self, welcome_by: float) -> None:
        """Admit the client, tell it of all environments, and then of those that are news."""
        try:
            environments = await self.let_in(self._sign_on)
        except Refused as refused:
            return await self.refuse(refused)
        _open_here.add(self.channel_name)
        counters.socket_opened(self.kind)
        self.lines.opened(user_id=self.owner_id, mode=str(Mode.VIEW))
        await self.tell(self.untold.welcome(environments))
        self.may_read.set()
        self.watch(environments)
        del environments  # not kept for as long as it is open
        while True:
            await self.has_untold.wait()
            self.has_untold.clear()
            while (frame := self.untold.next()) is not None:
                await self.tell(frame)

    async def leave(self) -> None:
        _open_here.discard(self.channel_name)

    # --- What happens to the sign-in and the environments meanwhile

    def look(self) -> list[Shown] | None:
        return look_at_all(self.session_id, owner_id=self.owner_id, is_full_status=self.handshake.is_full_status)

    async def goes_on(self, found: list[Shown] | None) -> bool:
        if found is None:
            await self.refuse(Refused(*access.SESSION_REVOKED))
        return found is not None

    def seen(self, found: list[Shown] | None) -> None:
        if self.untold.seen(found or []):
            self.has_untold.set()

    def looks_often(self, found: list[Shown] | None) -> bool:
        return any(map(is_under_way, found or []))
