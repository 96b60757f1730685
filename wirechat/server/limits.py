"""Limits that are the server's own. Those a client meets stand in protocol/limits.json and `wirechat.wire.limits`."""

FRAMES_PER_TURN = 128
"""Frames handled before the loop may serve someone else: 64 KiB of the smallest frames is 9,000 of them."""

BACKLOG_BYTES_MAX = 262_144
"""Answers that wait for a slow reader; above this its requests are not read any more (P6, P10)."""

READY_BYTES_MAX = 262_144
"""Bytes handed to one socket in one go; what is beyond waits as references, not as bytes."""

DRAIN_BYTES = 65_536
"""Bytes of waiting pushes that are looked up and sent at a time."""

PENDING_ENTRIES_MAX = 50_000
"""Entries that wait for the journal on one node: about two seconds of the fastest disk; above it 5000."""

MEMBER_LISTS_MAX = 20_000
"""Member lists the hub remembers; forgetting one costs a read."""

POSITIONS_MAX = 200_000
"""Conversations whose offered position the hub remembers; forgetting one costs a digest row."""

DIGEST_ROWS = 500
"""Digest rows in one SYNC_OK, whatever is asked for: about 10 KiB."""

ROUND_ROWS = 100
"""Digest rows in one ROWS push: about 2 KiB."""

SWEEP_SECONDS = 1.0
"""Heartbeats, deadlines and rates are looked after this often; 5,000 connections cost 0.2 ms."""

PASS_SECONDS = 1.0
"""The node looks what changed in the store this often: the bound on how long a lost hint can delay a message."""

FLUSH_SECONDS = 1.0
"""Delivered watermarks are written behind at most this late."""

LAST_WRITES_SECONDS = 2.0
"""What a stopping server takes at most to write down what it had put off; a disk that hangs must not hold it."""

SEEN_SECONDS = 5.0
"""When devices were last connected is written behind at most this late."""

SEEN_AGAIN_SECONDS = 600.0
"""Those that stay connected are written down this often."""

SEEN_AT_ONCE = 1_000
"""Of them in one transaction, which a message may have to wait for."""

DELIVERED_AT_ONCE = 1_000
"""Of them in one transaction, which a message may have to wait for."""

POSITIONS_PER_TOKEN = 4
"""Positions listed in ACKs that count as one request: 48,000 at once and 8,000 a second, then 1008."""

ENTRIES_PER_TOKEN = 100
"""Entries that UNREAD looked at that count as one request: 600,000 at once and 200,000 a second, then 5001."""

TOKENS_PER_WATCHED = 8
"""Requests that watching one user counts as: whether the two share a conversation takes up to 0.4 ms to find out."""

PAIRS_AT_ONCE = 32
"""Pairs of users of whom that is found out in one read, which others may have to wait for."""

TOKENS_PER_TYPING = 20
"""Requests that one TYPING counts as: it goes out to as many as three dozen sessions. 100 a second stay allowed."""

TYPING_SECONDS = 2.5
"""TYPING of one session in one conversation is passed on this often, unless it says something else."""

TYPING_KEPT = 16
"""Conversations in which a session is remembered to type."""

TYPING_READS = 64
"""Reads under way on one node to find out who may see somebody type; above it nobody is told."""

APART_MAX = 20_000
"""Who must not see somebody type is remembered for this many members and conversations; forgetting costs a read."""

VISIBLE_SECONDS = 60.0
"""Who may see whom is read again before a push when it is older than this: another node may have changed it."""

DOUBTS_AT_ONCE = 256
"""Pairs of users of whom it is read once a second whether the one may still see the other."""

SEEN_SWEEPS = 5
"""When people were last there is written every that many sweeps."""

LOGINS_AT_ONCE = 1
"""Argon2id computations at a time: each takes a core and 19 MiB."""

LOGINS_WAITING = 64
"""Logins that may wait for those; above it 5000. At 40 ms each that is 2.5 s."""

FAILURES_PAUSE_MS = 10_000
"""What a client is told to wait that failed too often on one connection: longer than a person takes to look up a
password.
"""

FAILURES_PER_ACCOUNT = 10
"""Failed logins from one address on one account in FAILURE_SECONDS; then 2006."""

FAILURES_PER_ADDRESS = 100
"""Failed logins from one address in FAILURE_SECONDS, whatever the account: a school behind one address still gets
in.
"""

FAILURE_SECONDS = 900.0
"""For how long failures are remembered."""

FAILURES_KEPT = 100_000
"""Addresses and accounts remembered for that; the oldest go first."""

CONNECTIONS_MAX = 100_000
"""Connections on one node; above it newcomers are closed at once."""

UNKNOWN_CONNECTIONS_MAX = 10_000
"""Of those, connections that have not logged in."""

GOAWAY_JITTER_MS = 5_000
"""Over which clients spread their return after a restart."""
