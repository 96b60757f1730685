"""XMPP with stream management: what one says is acknowledged in numbers by the server, what one gets by us.

People register themselves (XEP-0077) and log in with SASL PLAIN; groups are rooms (XEP-0045), which whoever comes first
makes. The server counts a text as acknowledged when it has handled it; whether its archive is on disk by then is the
server's affair.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from tools.loadgen.targets.dialect import Dialect, Person, Refused

STREAM, CLIENT = "{http://etherx.jabber.org/streams}", "{jabber:client}"
SASL, SM, MUC_USER = "urn:ietf:params:xml:ns:xmpp-sasl", "urn:xmpp:sm:3", "{http://jabber.org/protocol/muc#user}"
STANZAS = frozenset((f"{CLIENT}message", f"{CLIENT}presence", f"{CLIENT}iq"))
HEADER = (
    "<?xml version='1.0'?><stream:stream to='{host}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)
REGISTER = (
    "<iq type='set' id='register'><query xmlns='jabber:iq:register'>"
    "<username>{user}</username><password>{password}</password></query></iq>"
)
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>"
BIND = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>load</resource></bind></iq>"
ENABLE = f"<enable xmlns='{SM}'/>"
JOIN = "<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"
OPEN = (
    "<iq type='set' id='open' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'>"
    "<x xmlns='jabber:x:data' type='submit'/></query></iq>"
)
PING = "<iq type='get' id='live' to='{host}'><ping xmlns='urn:xmpp:ping'/></iq>"
PLEASE_ACKNOWLEDGE = f"<r xmlns='{SM}'/>".encode()


class Xmpp(Dialect):
    """One client."""

    def __init__(self, person: Person, host: str) -> None:
        super().__init__(person, host)
        self._password = person.password or person.name
        self._joining = list(person.groups)
        self._sent = 0
        """Stanzas since stream management was enabled."""
        self._before = 0
        """Of them, those before the first text."""
        self._acknowledged = 0
        self._got = 0
        self._managed = self._authenticated = False
        self._reset()

    def _reset(self) -> None:
        """A stream begins."""
        self._parser: XMLPullParser[Any] = XMLPullParser(("start", "end"))
        self._root = Element("none")
        self._depth = 0

    def _header(self) -> str:
        self._reset()
        return HEADER.format(host=self.host)

    def begin(self) -> bytes:
        return self._header().encode()

    def address(self, name: str, group: bool) -> bytes:
        to = self._room(name) if group else f"{name}@{self.host}"
        return f"<message to='{to}' type='{'groupchat' if group else 'chat'}' id='".encode()

    def _room(self, name: str) -> str:
        return f"{name}@conference.{self.host}"

    def say(self, address: bytes, texts: Sequence[bytes]) -> bytes:
        parts = []
        for text in texts:
            self.said += 1
            parts.append(address + b"%d'><body>%b</body></message>" % (self.said, text))
        self._sent += len(texts)
        return b"".join((*parts, PLEASE_ACKNOWLEDGE))

    def receive(self, data: bytes) -> bytes:
        replies = []
        try:
            self._parser.feed(data)
            for event, element in cast(Iterator[tuple[str, Element]], self._parser.read_events()):
                if event == "start":
                    self._depth += 1
                    if self._depth == 1:
                        self._root = element
                    continue
                self._depth -= 1
                if self._depth == 1:
                    root = self._root
                    replies.append(self._whole(element))
                    if root is not self._root:
                        break  # a new stream has begun
                    self._root.clear()
                elif self._depth == 0:
                    raise Refused("the server ended the stream")
        except ParseError as error:
            raise Refused(f"this is no XMPP: {error}") from None
        return "".join(replies).encode()

    def _whole(self, element: Element) -> str:
        """A child of the stream is complete."""
        tag = element.tag
        if tag in STANZAS:
            self._got += self._managed
            return self._message(element) if tag == f"{CLIENT}message" else self._other(element)
        if tag == f"{{{SM}}}r":
            return f"<a xmlns='{SM}' h='{self._got}'/>"
        if tag == f"{{{SM}}}a":
            self._taken_over(int(element.get("h", "0")))
            return ""
        return self._enter(element)

    def _message(self, element: Element) -> str:
        if element.get("type") == "error":
            self.refusals += 1
            return ""
        body = element.find(f"{CLIENT}body")
        if body is not None and body.text:
            self.texts.append(body.text.encode())
        return ""

    def _taken_over(self, handled: int) -> None:
        taken = handled - self._before
        if self.is_live and taken > self._acknowledged:
            self.acknowledged.extend(range(self._acknowledged + 1, taken + 1))
            self._acknowledged = taken

    # the way in

    def _enter(self, element: Element) -> str:
        tag = element.tag
        if tag == f"{STREAM}features":
            return BIND if self._authenticated else REGISTER.format(user=self.person.name, password=self._password)
        if tag == f"{{{SASL}}}success":
            self._authenticated = True
            return self._header()
        if tag == f"{{{SM}}}enabled":
            self._managed = True
            return self._stanza("<presence/>") + self._join()
        if tag == f"{{{SASL}}}failure":
            raise Refused(f"the login was refused: {_condition(element)}")
        if tag == f"{{{SM}}}failed":
            raise Refused("stream management (XEP-0198) is not enabled there")
        if tag == f"{STREAM}error":
            raise Refused(f"the server ended the stream: {_condition(element)}")
        return ""

    def _other(self, element: Element) -> str:
        """The answer to a request, or somebody's presence."""
        what, failed = element.get("id"), element.get("type") == "error"
        if element.tag == f"{CLIENT}presence":
            return self._joined(element, failed)
        if what == "register":
            if failed and element.find(f".//{{{'urn:ietf:params:xml:ns:xmpp-stanzas'}}}conflict") is None:
                raise Refused(f"no account could be made: {_condition(element)} (is registration, XEP-0077, allowed?)")
            proof = base64.b64encode(f"\0{self.person.name}\0{self._password}".encode()).decode()
            return AUTH.format(proof=proof)
        if failed and what in ("bind", "open"):
            raise Refused(f"{what} was refused: {_condition(element)}")
        if what == "bind":
            return ENABLE
        if what == "open":
            return self._join()
        if what == "live":
            self._before, self.is_live = self._sent, True
        return ""

    def _stanza(self, stanza: str) -> str:
        self._sent += 1
        return stanza

    def _join(self) -> str:
        """The next room; after the last, whatever was sent before this ping has been handled."""
        if self._joining:
            return self._stanza(JOIN.format(room=self._room(self._joining[0]), nick=self.person.name))
        return self._stanza(PING.format(host=self.host))

    def _joined(self, element: Element, failed: bool) -> str:
        if not self._joining or not element.get("from", "").startswith(f"{self._room(self._joining[0])}/"):
            return ""
        if failed:
            raise Refused(f"a room refused: {_condition(element)}")
        codes = {status.get("code") for status in element.iter(f"{MUC_USER}status")}
        if "110" not in codes:
            return ""
        room = self._room(self._joining.pop(0))
        return self._stanza(OPEN.format(room=room)) if "201" in codes else self._join()


def _condition(element: Element) -> str:
    """The name of an error."""
    names = [each.tag.rpartition("}")[2] for each in element.iter() if "xmpp-s" in each.tag and each is not element]
    return names[0] if names else "no reason given"
