"""The client's side of a WebSocket without a socket: bytes in, whole messages out."""

from __future__ import annotations

import wsproto
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)


class Ended(Exception):
    """There is none, or no longer: why, in one line."""


class WebSocket:
    """One connection. It asks to be opened when it is made."""

    def __init__(self, host: str, path: str = "/", subprotocol: str = "") -> None:
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._part = b""
        self.is_open = False
        self._out = self._protocol.send(Request(host=host, target=path, subprotocols=list(filter(None, [subprotocol]))))

    def to_send(self) -> bytes:
        """What has to be sent now: the request, and answers to pings."""
        out, self._out = self._out, b""
        return out

    def frame(self, message: bytes | str) -> bytes:
        """The bytes that send a binary message or a text."""
        event = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        return self._protocol.send(event)

    def receive(self, data: bytes) -> list[bytes]:
        """Something arrived: the messages that are whole now. Raises Ended."""
        messages = []
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, BytesMessage | TextMessage):
                    self._part += event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
                    if event.message_finished:
                        messages.append(self._part)
                        self._part = b""
                elif isinstance(event, Ping):
                    self._out += self._protocol.send(event.response())
                elif isinstance(event, AcceptConnection):
                    self.is_open = True
                elif isinstance(event, RejectConnection):
                    raise Ended(f"no WebSocket there: HTTP status {event.status_code}")
                elif isinstance(event, CloseConnection):
                    raise Ended(f"the server closed the WebSocket: {event.code} {event.reason or ''}".rstrip())
        except wsproto.utilities.RemoteProtocolError as error:
            raise Ended(f"no WebSocket there: {error}") from None
        return messages
