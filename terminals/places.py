"""Where a client gets to, by who it is and what it asks for; and what runs there, recorded or not."""

from __future__ import annotations

from terminals.access import Access
from terminals.handshake import Handshake
from terminals.recorder import Recorder, recording_begin
from terminals.stream import Place
from terminals.tmux import attach_command, session_name, shell_command, view_command


def place_of(handshake: Handshake, access: Access) -> Place:
    """A guest gets the link's session, whatever they ask for."""
    environment_id, share = access.environment_id, access.share
    is_view = handshake.is_view or access.is_view
    if handshake.is_plain and share is None:
        return Place(environment_id, None, is_view)
    name = handshake.session if share is None else share.session or None
    return Place(environment_id, session_name(str(environment_id), name), is_view)


def command_at(place: Place) -> str:
    if place.session is None:
        return shell_command()
    return view_command(place.session) if place.is_view else attach_command(place.session)


async def recorder_for(handshake: Handshake, access: Access, size: tuple[int, int]) -> Recorder | None:
    """Where the client or, if that doesn't say, its owner's settings want it; a guest's terminal is never recorded.

    `size`: columns and rows. None also where that can't be.
    """
    is_wanted = access.records if handshake.records is None else handshake.records
    if access.share is not None or not is_wanted:
        return None
    return await recording_begin(
        owner_id=access.owner_id,
        environment_id=access.environment_id,
        environment_name=access.environment_name,
        session=handshake.session or "",
        cols=size[0],
        rows=size[1],
    )
