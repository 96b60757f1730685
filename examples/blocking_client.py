"""Chat with a blocking socket and `wirechat.wire` alone: blocking_client.py HOST:PORT HANDLE PASSWORD [TO TEXT]

Sends TEXT to the handle TO, then prints and acknowledges what arrives. It stores nothing; `wirechat.client` does."""

import itertools
import os
import socket
import sys

from wirechat import wire


def stop(why):
    print(why, file=sys.stderr)
    sys.exit(2)


sys.excepthook = lambda kind, error, _: print(error or kind.__name__, file=sys.stderr)
if len(sys.argv) not in (4, 6) or ":" not in sys.argv[1]:
    stop("usage: blocking_client.py HOST:PORT HANDLE PASSWORD [TO TEXT]")
address, handle, password, *message = sys.argv[1:]
try:
    sock = socket.create_connection(address.rsplit(":", 1), timeout=25)
except OSError as error:
    stop(f"cannot connect to {address}: {error.strerror or error}; is the server running?")
connection = wire.Connection(wire.CLIENT)
numbers = itertools.count(1)  # an ACK names pushes by number; the first on a connection is 1


def send(frame):
    connection.sent(frame)
    sock.sendall(frame.encode())


def receive():
    while (frame := connection.next_message()) is None:
        connection.feed(sock.recv(65536) or stop("the server closed the connection"))
    if isinstance(frame, wire.Ping):
        send(wire.Pong(frame.t))
    elif isinstance(frame, wire.Error):
        stop(f"refused: {frame.message} (error {frame.code})")
    elif getattr(frame, "range", frame.RANGE) == "counted":
        if isinstance(frame, wire.Event) and frame.content:
            print(f"{frame.sender} in {frame.conv}: {frame.content.data!r}", flush=True)
        send(wire.Ack(next(numbers)))
    return frame


def ask(request, answer):
    send(request)
    while not isinstance(frame := receive(), answer):
        pass
    return frame


ask(wire.Hello("WC", 1, 1, (), "blocking-client/1"), wire.Welcome)
ask(wire.Auth(1, wire.AuthMethod.PASSWORD, handle, proof=password.encode()), wire.AuthOk)
cursor = ask(wire.Sync(2), wire.SyncOk).cursor
while cursor:
    cursor = ask(wire.Sync(2, cursor=cursor), wire.SyncOk).cursor
if message:
    found = ask(wire.UserFind(3, message[0]), wire.UserFindOk).user
    conv = ask(wire.ConvNew(4, os.urandom(8), wire.ConversationKind.DIRECT, (found.user,)), wire.ConvNewOk).conv
    sent = ask(wire.Send(5, conv, os.urandom(8), wire.EntryKind.MSG, wire.Content(1, message[1])), wire.SendOk)
    print(f"stored as number {sent.seq} of conversation {conv}", flush=True)
while True:
    try:
        receive()
    except TimeoutError:
        send(wire.Ping(0))  # a sign of life at least every 30 seconds
