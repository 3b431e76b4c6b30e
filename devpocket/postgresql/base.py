"""Django looks for an engine's DatabaseWrapper here."""

from __future__ import annotations

import select
import time
from typing import Any, ClassVar

from django.db.backends.postgresql import base
from psycopg import Connection, OperationalError
from psycopg_pool import PoolTimeout

AWAY_S = 1.0


class DatabaseWrapper(base.DatabaseWrapper):
    """The pool lets each caller wait for its whole limit. While the database is away that would be all callers, one
    after the other where they share a thread, as the sockets' do; so for AWAY_S after one has waited in vain the others
    needn't.
    """

    _served_at: ClassVar[float] = 0.0  # time.monotonic, of the last connection that anybody got
    _away_until: ClassVar[float] = 0.0

    def get_new_connection(self, conn_params: Any) -> Any:
        if self.pool is None:
            return super().get_new_connection(conn_params)
        asked_at = time.monotonic()
        if asked_at < DatabaseWrapper._away_until:
            raise OperationalError("the database didn't answer a moment ago")
        try:
            connection = super().get_new_connection(conn_params)
            for _ in range(self.pool.max_size):
                if not _has_ended(connection):
                    break
                connection.close()
                self.pool.putconn(connection)  # which makes another one
                connection = super().get_new_connection(conn_params)
        except PoolTimeout:
            if DatabaseWrapper._served_at < asked_at:  # else it is only busy
                DatabaseWrapper._away_until = time.monotonic() + AWAY_S
            raise
        DatabaseWrapper._served_at = time.monotonic()
        return connection


def _has_ended(connection: Connection) -> bool:
    """Whether it is from before the database's restart, say: nobody has asked it anything, so all there can be to read
    is its end. The pool's own check asks the database each time, which costs as much as many a query.
    """
    looking = select.poll()
    looking.register(connection.fileno(), select.POLLIN)
    return bool(looking.poll(0))
