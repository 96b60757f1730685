"""What things cost, as docs/capacity.md quotes it: the one place where the simulation has its prices from.

What a commit or a read costs however much is in it is what is left of a message alone ("500 a second") when the prices
of the message itself are taken off.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Price:
    """A figure and where it is from."""

    of: str
    value: float
    unit: str
    source: str


MEASURED = {
    (1, 10, 0): (22, 19, 0),
    (2, 10, 0): (31, 28, 0.7),
    (1, 1, 0): (112, 66, 0.2),
    (2, 1, 0): (152, 105, 5),
    (1, 0, 500): (1271, 309, 3),
    (2, 0, 500): (1914, 581, 84),
    (1, 0, 2000): (488, 174, 0.8),
    (2, 0, 2000): (563, 242, 20),
}
"""`bench cluster`: (nodes, unanswered at each sender, texts a second) -> us of nodes, of PostgreSQL, of NATS."""
ALONE, APART = MEASURED[1, 0, 500], MEASURED[2, 0, 500]
_ALONE, _APART = "`bench cluster`, 500 a second, one node", "`bench cluster`, 500 a second, different nodes"

ENTRY = Price("an entry of a batch, accepted and committed", 20, "us of a node", "The model, `a`")
WRITE = Price("a delivery: a write to a socket", 13, "us of a node", "The model, `d`")
FURTHER = Price("a further text in the same write", 3, "us of a node", "`bench fan_out`, `members_100_coalesced`")
READ_ENTRY = Price("an entry read because of a hint", 12, "us of a node", "The model")
COMMIT = Price("a commit", ALONE[0] - ENTRY.value - WRITE.value, "us of a node", _ALONE)
READ = Price("a read because of hints", APART[0] - ALONE[0] - READ_ENTRY.value, "us of a node", _APART)
PASS = Price("the pass, whatever it finds", 6000, "us of a node a second", "a node that serves nobody")
PASS_ROW = Price("a conversation that the pass finds changed", 6, "us of a node", "estimated")

STORE_ENTRY = Price("an entry of a batch", 20, "us of PostgreSQL", "The model")
STORE_READ_ENTRY = Price("an entry read because of a hint", 8, "us of PostgreSQL", "The model")
STORE_COMMIT = Price("a commit", ALONE[1] - STORE_ENTRY.value, "us of PostgreSQL", _ALONE)
STORE_READ = Price("a read because of hints", APART[1] - ALONE[1] - STORE_READ_ENTRY.value, "us of PostgreSQL", _APART)
STORE_PASS_ROW = Price("a row of a pass", 1, "us of PostgreSQL", "estimated")
TAKES = Price("a commit or a read, from its begin to its end", 0.0015, "s", f"{_ALONE}: the median")
WAL = Price("an entry of 64 bytes", 450, "bytes of WAL", "`bench store`, large batches")

BUS_LEAST = Price("a message among many", 4, "us of NATS", "estimated")
BUS_MOST = Price("a message among few", APART[2], "us of NATS", _APART)

CONNECTION = Price("an idle connection over TLS", 21, "KiB of a node", "`bench idle`")
ABSENT = Price("a user on another node", 0.3, "KiB of each node", "counted from the objects")
