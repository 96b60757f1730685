"""Buffer, framing and state of one connection, as both ends see them."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import messages
from wirechat import wire
from wirechat.wire import features, limits, state
from wirechat.wire.state import AUTHED, CLOSED, DRAINING, GREETED, LIVE, OPEN, SYNCING, TABLE

HELLO = wire.Hello("WC", 1, 1, (), "probe")
AUTH = wire.Auth(1, wire.AuthMethod.RESUME, proof=bytes(32))
AUTH_OK = wire.AuthOk(1, 7, 42, bytes(32), 60)
LIMITS = wire.Limits(65536, 16384, 64, 30000, 1024, 1000, 200, 64)
WELCOME = wire.Welcome(1, (), "server", 0, bytes(32), LIMITS, (1,), (0,))
LAST_PAGE = wire.SyncOk(2, 1, (), token=b"t")
PAGE = wire.SyncOk(2, 1, (), cursor=b"c")
EVENT = wire.Event(5, 1, 1000, 7, 1, wire.Content(1, "hi"))
SEND = wire.Send(9, 5, bytes(8), 1, wire.Content(1, "hi"))


def server(start: wire.ConnectionState = OPEN) -> wire.Connection:
    """A server's end that came to a state the honest way."""
    connection = wire.Connection(wire.SERVER)
    for mark, received, sent in ((GREETED, HELLO, WELCOME), (AUTHED, AUTH, AUTH_OK), (SYNCING, wire.Sync(2), None)):
        if connection.state is start:
            return connection
        hear(connection, received)
        if sent is not None:
            connection.sent(sent)
        assert connection.state is mark
    if start is LIVE:
        connection.sent(LAST_PAGE)
    assert connection.state is start
    return connection


def hear(connection: wire.Connection, *sent: wire.Message) -> wire.Message | None:
    connection.feed(b"".join(message.encode() for message in sent))
    return connection.next_message()


def refused(connection: wire.Connection, message: wire.Message) -> tuple[int, int | None]:
    with pytest.raises(wire.ProtocolViolation) as caught:
        hear(connection, message)
    return caught.value.code, caught.value.rid


def test_one_flight_is_judged_after_the_login() -> None:
    """A client saves two round trips by sending HELLO, AUTH and SYNC at once; nothing may be refused too early."""
    connection = wire.Connection(wire.SERVER)
    assert hear(connection, HELLO, AUTH, wire.Sync(2), SEND) == HELLO
    connection.sent(WELCOME)
    assert connection.next_message() == AUTH
    assert connection.next_message() is None
    connection.sent(AUTH_OK)
    assert connection.next_message() == wire.Sync(2)
    connection.sent(LAST_PAGE)
    assert connection.state is LIVE
    assert connection.next_message() == SEND


def test_after_a_failed_login_the_flight_is_refused_and_another_try_counts() -> None:
    """What followed AUTH needs the login; the connection stays for the next try."""
    connection = wire.Connection(wire.SERVER)
    hear(connection, HELLO, AUTH, wire.Sync(2), AUTH)
    connection.next_message()
    connection.sent(wire.Error(1, code=2002))
    with pytest.raises(wire.ProtocolViolation) as caught:
        connection.next_message()
    assert (caught.value.code, caught.value.rid) == (2000, 2)
    assert connection.next_message() == AUTH


def test_a_client_may_send_ahead() -> None:
    """The client's end of the same flight."""
    connection = wire.Connection(wire.CLIENT)
    for message in (HELLO, AUTH, wire.Sync(2), SEND):
        connection.sent(message)
    answers = (WELCOME, AUTH_OK, LAST_PAGE, EVENT)
    assert [hear(connection, answer) for answer in answers] == list(answers)
    assert connection.state is LIVE


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5, 7, 50, 1000])
def test_frames_may_come_in_any_pieces(cut: int) -> None:
    """TCP keeps no boundaries."""
    connection = server(LIVE)
    sent = [wire.Ping(1), SEND, wire.Ack(0), wire.Ping(2**40), SEND]
    stream = b"".join(message.encode() for message in sent)
    heard = []
    for at in range(0, len(stream), cut):
        connection.feed(stream[at : at + cut])
        while (message := connection.next_message()) is not None:
            heard.append(message)
    assert heard == sent
    assert connection.buffered == 0


@given(st.lists(st.sampled_from([wire.Ping(1), SEND, wire.Ack(3)]), max_size=4), st.data())
def test_pieces_of_any_size_and_order_of_calls(sent: list[wire.Message], data: st.DataObject) -> None:
    """Feeding several times before asking must lose nothing either."""
    connection, stream, heard = server(LIVE), b"".join(message.encode() for message in sent), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        connection.feed(stream[:size])
        stream = stream[size:]
        while data.draw(st.booleans()) and (message := connection.next_message()) is not None:
            heard.append(message)
    while (message := connection.next_message()) is not None:
        heard.append(message)
    assert heard == sent


def test_bytes_fed_behind_an_unread_rest_keep_their_order() -> None:
    """A caller may feed twice before it asks; the second piece must not overtake the first."""
    connection = server(LIVE)
    ping, send = wire.Ping(1).encode(), SEND.encode()
    connection.feed(ping)
    connection.feed(send[:9])
    assert connection.next_message() == wire.Ping(1)
    connection.feed(send[9:])
    assert connection.next_message() == SEND


def test_a_frame_in_pieces_is_joined_once() -> None:
    """Copying what is there for every piece would make a slow sender expensive: the square of the frame."""
    connection = server(LIVE)
    joins = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal joins
        joins += event == "call" and frame.f_code is wire.Connection._join.__code__  # type: ignore[attr-defined]

    stream = wire.Send(9, 5, bytes(8), 1, wire.Content(1, "x" * 16000)).encode()
    sys.setprofile(count)
    try:
        for at in range(0, len(stream), 100):
            connection.feed(stream[at : at + 100])
            message = connection.next_message()
    finally:
        sys.setprofile(None)
    assert message is not None
    assert joins == 1


def test_frame_limits_follow_the_login() -> None:
    """Nobody unknown may make the server hold more than 4 KiB."""
    assert server(GREETED).frame_bytes_max == 4096
    assert server(AUTHED).frame_bytes_max == 65536
    assert wire.Connection(wire.CLIENT).frame_bytes_max == 131072
    assert wire.Connection(wire.SERVER, frame_bytes=20000).frame_bytes_max == 4096
    connection = server(LIVE)
    connection.feed(wire.Send(9, 5, bytes(8), 1, wire.Content(1, "x" * 16384)).encode())
    assert isinstance(connection.next_message(), wire.Send)


def test_an_oversized_frame_is_refused_without_its_body() -> None:
    """Waiting for what will be refused would be holding it."""
    for connection, size in ((server(OPEN), 4097), (server(LIVE), 65537)):
        connection.feed(size.to_bytes(4, "big"))
        with pytest.raises(wire.ProtocolViolation) as caught:
            connection.next_message()
        assert caught.value.code == 1001


def test_nothing_is_read_after_a_fatal_violation() -> None:
    """Framing is lost; what follows has no meaning."""
    connection = server(LIVE)
    assert refused(connection, wire.Hello("WC", 1, 1, (), "again")) == (1003, None)
    assert connection.state is CLOSED
    assert hear(connection, SEND) is None
    connection.sent(wire.Error(code=1003))


def test_a_refused_request_leaves_the_connection() -> None:
    """P12: a wrong request costs itself only."""
    connection = server(GREETED)
    assert refused(connection, SEND) == (2000, 9)
    wrong = wire.Send(10, 5, b"short", 1)
    connection = server(LIVE)
    assert refused(connection, wrong) == (3000, 10)
    assert hear(connection, SEND) == SEND


def test_requests_before_login_that_are_allowed() -> None:
    """REGISTER, keep-alive and STATE need no account."""
    connection = server(GREETED)
    register = wire.Register(3, "bob", 1, b"correct horse")
    for message in (register, wire.Ping(1), wire.Pong(1), wire.State(False)):
        assert hear(connection, message) == message
    assert connection.state is GREETED


def test_a_digest_may_have_many_pages() -> None:
    """Pushes start with the last one."""
    connection = server(SYNCING)
    connection.sent(PAGE)
    with pytest.raises(wire.LocalViolation):
        connection.sent(EVENT)
    assert refused(server(SYNCING), wire.Sync(3)) == (1003, None)
    assert hear(connection, wire.Sync(3, cursor=b"c")) == wire.Sync(3, cursor=b"c")
    connection.sent(LAST_PAGE)
    connection.sent(EVENT)
    assert connection.state is LIVE


def test_a_digest_that_failed_may_start_again() -> None:
    """5000 means: later."""
    connection = server(SYNCING)
    connection.sent(wire.Error(2, code=5000))
    assert connection.state is AUTHED
    assert hear(connection, wire.Sync(3)) == wire.Sync(3)


def test_a_page_that_failed_may_be_asked_again() -> None:
    """The round goes on where it was."""
    connection = server(SYNCING)
    connection.sent(PAGE)
    hear(connection, wire.Sync(3, cursor=b"c"))
    connection.sent(wire.Error(3, code=5000))
    assert connection.state is SYNCING
    assert hear(connection, wire.Sync(4, cursor=b"c")) == wire.Sync(4, cursor=b"c")


def test_draining_answers_what_was_read_and_refuses_the_rest() -> None:
    """A client that wrote before it read GOAWAY learns that its request was not executed."""
    connection = server(LIVE)
    assert hear(connection, SEND) == SEND
    connection.sent(wire.Goaway(1, 0, 0))
    assert connection.state is DRAINING
    assert refused(connection, wire.Send(11, 5, bytes(8), 1)) == (5003, 11)
    connection.sent(wire.SendOk(9, 1, 1))
    connection.sent(EVENT)
    assert hear(connection, wire.Ack(1)) == wire.Ack(1)
    client = wire.Connection(wire.CLIENT)
    client.state = LIVE
    assert hear(client, wire.Goaway(1, 0, 0)) == wire.Goaway(1, 0, 0)
    client.sent(SEND)


def test_goaway_during_a_login_still_lets_its_answer_through() -> None:
    """The login was read before; its answer must not be a local fault."""
    connection = server(GREETED)
    hear(connection, AUTH)
    connection.sent(wire.Goaway(1, 0, 0))
    connection.sent(AUTH_OK)
    assert connection.state is DRAINING
    assert connection.logged_in


def test_unknown_frames_are_passed_on_but_not_before_hello() -> None:
    """A newer peer may send them; the first frame is HELLO for ever."""
    grease = b"\0\0\0\2\x91\x2b"
    connection = server(LIVE)
    connection.feed(grease)
    assert connection.next_message() == wire.Unknown(43, "ephemeral")
    connection = server(OPEN)
    connection.feed(grease)
    with pytest.raises(wire.ProtocolViolation) as caught:
        connection.next_message()
    assert caught.value.code == 1003


def test_our_own_faults_are_loud() -> None:
    """Blame is in the type: a server that pushes before the digest ended has a bug."""
    for start, message in ((OPEN, WELCOME), (GREETED, EVENT), (AUTHED, EVENT), (AUTHED, wire.Send(1, 5, bytes(8), 1))):
        with pytest.raises(wire.LocalViolation):
            server(start).sent(message)


def test_every_frame_stands_in_the_table_of_its_sender() -> None:
    """A frame that no state allows could never be sent; one in the wrong table could come from the wrong side."""
    for side in (wire.CLIENT, wire.SERVER):
        listed = {frame for row in TABLE[side].values() for frame in row}
        assert listed == {frame for frame in features.FRAMES if frame.SIDE in (side, "both")}
        assert set(TABLE[side]) == set(wire.ConnectionState)


def test_every_state_can_be_reached_and_left() -> None:
    """A state without a way in or out is a trap."""
    reached = {state.LIVE, OPEN} | {after for row in TABLE.values() for rows in row.values() for after in rows.values()}
    assert reached == set(wire.ConnectionState)
    for each in set(wire.ConnectionState) - {CLOSED}:
        assert TABLE[wire.SERVER][each][wire.Error] is CLOSED


@given(st.lists(messages("client"), max_size=12), st.booleans())
def test_p10_any_order_of_frames_is_answered_or_refused(sent: list[wire.Message], login: bool) -> None:
    """A client may send any legal frame at any time; the server's end raises nothing but ProtocolViolation."""
    connection = server(LIVE) if login else server(OPEN)
    for message in sent:
        if len(message.encode()) > limits.HELLO_BYTES:
            continue
        fatal = False
        try:
            heard = hear(connection, message)
        except wire.ProtocolViolation as violation:
            heard, fatal = None, violation.fatal
        assert connection.state is not OPEN or not login
        assert not fatal or connection.state is CLOSED
        if isinstance(heard, wire.Auth):
            connection.sent(wire.Error(heard.rid, code=2001))
