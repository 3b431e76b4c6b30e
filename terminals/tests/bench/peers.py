"""DevPocket's two ways as peers of ../shared/bench/terminal/measure.py, which loads this file by its path (--plugin).

Run by the harness's own Python: nothing of the project is imported here. BENCH_STATE is what __main__.py has written.
"""

import json
import os
from pathlib import Path

from adapters import DevPocketAdapter, WSSession
from wsclient import WSClient

STATE = json.loads(Path(os.environ["BENCH_STATE"]).read_text())


class Text(DevPocketAdapter):
    """A plain shell, JSON text frames."""

    name = "devpocket-text"
    subprotocol = None
    session = WSSession

    def __init__(self):
        super().__init__(STATE["url"], STATE["ws_url"], STATE["token"], STATE["environment"], STATE["pid"])

    def open(self, rcvbuf=None):
        url = f"{self.ws_url}/api/v1/ws/terminal/{self.environment_id}?tmux=0"
        headers = {"Authorization": f"Bearer {self.token}"}
        session = self.session(WSClient(url, headers=headers, rcvbuf=rcvbuf, subprotocol=self.subprotocol))
        session.ws.send(json.dumps({"type": "resize", "cols": 80, "rows": 24}))
        return session


class BinarySession(WSSession):
    binary_in = True

    def encode(self, data):
        return data

    def decode(self, frame):
        return b"" if frame.startswith(b'{"type":"') else frame  # control frames, which the measured output never is


class Binary(Text):
    """A plain shell, binary frames."""

    name = "devpocket-binary"
    subprotocol = "devpocket.v1.binary"
    session = BinarySession


PEERS = {peer.name: peer for peer in (Text, Binary)}
