"""What the terminal's and the logs' WebSockets have in common beyond `sockets.py`: each is about one environment."""

from __future__ import annotations

import time
from abc import abstractmethod
from datetime import UTC, datetime
from typing import ClassVar

from django.utils import timezone

from devpocket.nudges import environment_group, session_group, share_group
from environments.lifecycle import Phase
from environments.models import Environment
from environments.services import activity_record
from environments.ssh import Target
from terminals import access, frames
from terminals.access import Access, Refused, Standing, check_access, find_target, look_again
from terminals.models import Mode, OpenTerminal
from terminals.presence import terminal_closed, terminal_opened
from terminals.socket_life import POLICY_VIOLATION, Message
from terminals.sockets import ClientSocket

ACTIVITY_EVERY_S = 60.0  # between two records of one socket that the environment is in use


class EnvironmentSocket(ClientSocket[Standing]):
    """One client of one environment: its owner, or a guest with a link. Operators see it, and can close it."""

    __slots__ = ("access", "is_activity_new", "noted_at")

    kind: ClassVar[OpenTerminal.Kind]

    access: Access

    def __init__(self) -> None:
        super().__init__()
        self.noted_at = float("-inf")  # when somebody was last seen to use the environment
        self.is_activity_new = False  # noted, not yet recorded

    # --- What a kind of socket does

    @abstractmethod
    def may_stay(self, standing: Standing) -> bool:
        """Whether the environment is in a phase in which there is something to see."""

    def counts_as_use(self) -> bool:
        """Whether this socket, open and nothing more, is use of the environment while that runs."""
        return True

    @abstractmethod
    def is_in_use(self) -> bool:
        """Whether it is now."""

    @property
    def is_view(self) -> bool:
        return True

    def session_shown(self) -> str:
        """tmux's name for what is open here, for operators."""
        return ""

    # --- Getting in

    async def admit(self) -> tuple[Standing, Target | None]:
        """Let it in, with how its environment is; and how to reach the machine, if it runs. Raises: Refused."""
        standing, target = await self.let_in(self._sign_on)
        share = self.access.share
        self.lines.opened(
            user_id=self.access.owner_id if share is None else None,
            share=None if share is None else str(share.pk),
            mode=str(Mode.VIEW if self.is_view else Mode.WRITE),
        )
        return standing, target

    def identify(self) -> None:
        self.access = check_access(self.handshake, admits_guests=self.admits_guests)

    def groups(self) -> list[str]:
        who = self.access
        assert who.session_id is not None or who.share is not None  # noqa: S101 -- either got it in
        own = share_group(who.share.pk) if who.share is not None else session_group(who.session_id)
        return [environment_group(who.environment_id), own]

    def _sign_on(self) -> tuple[Standing, Target | None]:
        standing = look_again(self.access)
        environment = standing.environment
        if not standing.is_admitted:
            raise Refused(*(access.AUTHENTICATION_FAILED if self.access.share is None else access.SHARE_ENDED))
        if self.access.share is None:  # a guest's is the link's
            access.check_session_name(self.handshake)
        if environment is None or environment.phase == Phase.TERMINATED:
            raise Refused(*access.ENVIRONMENT_NOT_FOUND)
        self.take_slot(self.access.counts_as)
        if not self.may_stay(standing):
            raise Refused(*access.NOT_RUNNING)
        self.access = self.access.let_in(environment)
        terminal_opened(
            channel_name=self.channel_name,
            kind=self.kind,
            user_id=None if self.access.share is not None else self.access.owner_id,
            share_id=None if self.access.share is None else self.access.share.pk,
            environment_id=self.access.environment_id,
            session=self.session_shown(),
            mode=Mode.VIEW if self.is_view else Mode.WRITE,
        )
        if standing.is_running and self.counts_as_use():
            self.noted_at, self.is_activity_new = time.monotonic(), True
            self._record_activity(environment)  # with the rest of it: no look of its own
        return standing, find_target(standing)

    def sign_off(self) -> None:
        super().sign_off()
        self._record_activity()
        terminal_closed(channel_name=self.channel_name)

    def _why_not(self) -> tuple[str, str, str]:
        return access.SESSION_REVOKED if self.access.share is None else access.SHARE_ENDED

    # --- What happens to the sign-in and the environment meanwhile

    def share_revoked(self, event: Message) -> None:
        self.news.set()

    def terminal_terminated(self, event: Message) -> None:
        self.start(self.refuse, Refused(*access.TERMINATED), name="terminated")

    def note_activity(self) -> None:
        """The environment is in use: input, output, or a terminal that is open. Recorded once in a while, the first
        time at once: what nobody has used for long may be about to be stopped.
        """
        now = time.monotonic()
        if now - self.noted_at >= ACTIVITY_EVERY_S and self.counts_as_use():
            self.noted_at, self.is_activity_new = now, True
            self.news.set()

    def about_to_look(self) -> None:
        if self.is_in_use():
            self.note_activity()

    def look(self) -> Standing:
        standing = look_again(self.access)
        self._record_activity(standing.environment)
        return standing

    def _record_activity(self, environment: Environment | None = None) -> None:
        """What another socket has recorded less than ACTIVITY_EVERY_S ago, as the row tells, does for this one too."""
        if not self.is_activity_new:
            return
        now, last = timezone.now(), None if environment is None else environment.last_activity_at
        age_s = ACTIVITY_EVERY_S if last is None else max(0.0, (now - last).total_seconds())
        if age_s < ACTIVITY_EVERY_S:
            self.noted_at = time.monotonic() - age_s
        else:
            activity_record(environment_id=self.access.environment_id)
            if environment is not None:
                environment.last_activity_at = now  # for what is concluded from this look
        self.is_activity_new = False

    async def goes_on(self, standing: Standing) -> bool:
        if not standing.is_admitted:
            await self.refuse(Refused(*self._why_not()))
        elif standing.environment is None:
            await self.refuse(Refused(*access.ENVIRONMENT_NOT_FOUND))
        elif not self.may_stay(standing):
            status = frames.status_update(standing.environment)
            await self.finish(POLICY_VIOLATION, access.NOT_RUNNING[1], status)
        else:
            return True
        return False

    def pause_s(self, *, is_often: bool) -> float:
        """Until a guest's link ends, at most."""
        pause_s = super().pause_s(is_often=is_often)
        if self.access.ends_at is None:
            return pause_s
        return min(pause_s, max(0.1, (self.access.ends_at - datetime.now(UTC)).total_seconds() + 0.1))
