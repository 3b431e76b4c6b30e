"""Where a client gets to, by who it is and what it asks for; and what runs there."""

from __future__ import annotations

from terminals.access import Access
from terminals.handshake import Handshake
from terminals.stream import Place
from terminals.tmux import attach_command, session_name, shell_command, view_command


def place_of(handshake: Handshake, access: Access) -> Place:
    """A guest gets the link's session, whatever they ask for."""
    environment_id, share = access.environment.pk, access.share
    is_view = handshake.is_view or access.is_view
    if handshake.is_plain and share is None:
        return Place(environment_id, None, is_view)
    name = handshake.session if share is None else share.session or None
    return Place(environment_id, session_name(str(environment_id), name), is_view)


def command_at(place: Place) -> str:
    if place.session is None:
        return shell_command()
    return view_command(place.session) if place.is_view else attach_command(place.session)


def is_recorded(handshake: Handshake, access: Access) -> bool:
    """Where the client or, if that doesn't say, its owner's settings want it; a guest's terminal never is."""
    if access.share is not None:
        return False
    return access.records if handshake.records is None else handshake.records
