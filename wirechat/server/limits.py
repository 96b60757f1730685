"""Limits that are the server's own and nobody tunes. Those an operator may set stand in `wirechat.server.config`, those
a client meets in protocol/limits.json and `wirechat.wire.limits`.
"""

FRAMES_PER_TURN = 128
"""Frames handled before the loop may serve someone else: 64 KiB of the smallest frames is 9,000 of them."""

BACKLOG_BYTES_MAX = 262_144
"""Answers that wait for a slow reader; above this its requests are not read any more (P6, P10)."""

READY_BYTES_MAX = 262_144
"""Bytes handed to one socket in one go; what is beyond waits as references, not as bytes."""

DRAIN_BYTES = 65_536
"""Bytes of waiting pushes that are looked up and sent at a time."""

WRITES_AT_ONCE = 100
"""Small writes, such as those of logins, in one transaction, which a message may have to wait for: about 20 ms."""

PENDING_ENTRIES_MAX = 50_000
"""Entries that wait for the journal on one node: about two seconds of the fastest disk; above it 5000."""

COMMIT_SPACING_SECONDS = 0.001
"""At least so long from the beginning of a commit to that of the next, where one is in flight at a time."""

TURN_DELIVERIES_MAX = 10_000
"""Deliveries of one commit, which all happen in one turn of the loop; each takes a microsecond."""

ENTRY_DELIVERIES = 20
"""What answering an entry counts as, however few see it."""

LOOKED_AFTER_AT_ONCE = 500
"""Connections looked after before others get between: some of them may have to be pinged."""

MEMBER_LISTS_MAX = 20_000
"""Member lists the hub remembers; forgetting one costs a read."""

POSITIONS_MAX = 200_000
"""Conversations whose offered position the hub remembers; forgetting one costs a digest row."""

LOOKED_FOR_STRANGERS = 16
"""Conversations looked at to forget one that nobody here is in, each half a microsecond. Twice what it takes to come
once through all of them before there are too many.
"""

DIGEST_ROWS = 500
"""Digest rows in one SYNC_OK, whatever is asked for: about 10 KiB."""

ROUND_ROWS = 100
"""Digest rows in one ROWS push: about 2 KiB."""

SWEEP_SECONDS = 1.0
"""Heartbeats, deadlines and rates are looked after this often; 5,000 connections cost 0.2 ms."""

PASS_SECONDS = 1.0
"""The node looks what changed in the store this often: the bound on how long a lost hint can delay a message."""

FLUSH_SECONDS = 1.0
"""Delivered watermarks are written behind in rounds of this: what is reached in one is written in the next."""

LAST_WRITES_SECONDS = 2.0
"""What a stopping server takes at most to write down what it had put off; a disk that hangs must not hold it."""

SEEN_SECONDS = 5.0
"""When devices were last connected is written behind at most this late."""

SEEN_AGAIN_SECONDS = 600.0
"""Those that stay connected are written down this often."""

SEEN_AT_ONCE = 1_000
"""Of them in one transaction, which a message may have to wait for."""

DELIVERED_AT_ONCE = 100
"""Delivered watermarks in one transaction, which a message may have to wait for: 5 ms, and as long to tell of them."""

POSITIONS_PER_TOKEN = 4
"""Positions listed in ACKs that count as one request: 48,000 at once and 8,000 a second, then 1008."""

ENTRIES_PER_TOKEN = 100
"""Entries that UNREAD looked at, and HISTORY, CHANGES and MENTIONS in vain, that count as one request: 600,000 at once
and 200,000 a second, then 5001.
"""

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

DOUBT_SECONDS = 0.25
"""How much of each second may pass with reading whether people may still see each other."""

SEEN_SWEEPS = 5
"""When people were last there is written every that many sweeps."""

FAILURES_PAUSE_MS = 10_000
"""What a client is told to wait that failed too often on one connection: longer than a person takes to look up a
password.
"""

NEWCOMERS_SECONDS = 3600.0
"""For how long it is remembered how many accounts an address asked for."""

HTTP_HEAD_BYTES = 16_384
"""Of a request to the side door; its first line and headers must be complete within hello_ms."""

HTTP_SECONDS = 30.0
"""For one request of the side door and its answer, whatever the peer does."""

HTTP_NEWCOMERS_MAX = 10_000
"""Connections of one port of the side door whose request is not complete."""

HTTP_REQUESTS_MAX = 1_000
"""Requests of one port of the side door that are being answered."""

PROBE_SECONDS = 2.0
"""A part that does not answer a readiness check in this time is not ready."""

PROBE_REUSE_SECONDS = 1.0
"""Readiness checks within this time share what one of them saw."""

DISK_FREE_BYTES = 268_435_456
"""With less room for the store the server is not ready: about a million messages, or time to act."""

GOAWAY_JITTER_MS = 5_000
"""Over which clients spread their return after a restart."""

ALIVE_SECONDS = 1.0
"""A node tells the others that it lives this often."""

NODE_SILENT_SECONDS = 5.0
"""A node that was not heard of for so long is gone for the others, and its users with it."""

ASK_SECONDS = 1.0
"""A node is asked for all of its users this often at most."""

SERVED_AT_ONCE = 5_000
"""Users in one message to other nodes: about 100 KiB, a tenth of what NATS takes."""

NEWS_AT_ONCE = 200
"""Conversations of which what is new is read at once."""

NEWS_ENTRIES = 100
"""Entries of one conversation that are pushed on a hint; with more a digest row is enough."""

NEWS_SECONDS = 1.0
"""Entries whose reading took longer are not pushed, a digest row is: what is deleted is gone after a second (P8)."""

CLOCK_MS = 2_000
"""Clocks of nodes that are further apart than this are told to the operator."""

BUS_ITEMS_MAX = 1_000_000
"""Items of an array in a message of another node."""
