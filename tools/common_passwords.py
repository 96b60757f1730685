"""`python -m tools.common_passwords`: the passwords that everybody tries first, for the server to refuse.

The list is the one of zxcvbn, made of passwords that were stolen and published. It is kept as hashes: a tenth of the
memory, and nobody has to read it.
"""

from __future__ import annotations

from pathlib import Path

from zxcvbn.frequency_lists import FREQUENCY_LISTS

from wirechat.server.guessable import FILE, digest
from wirechat.wire.limits import PASSWORD_BYTES_MIN


def hashes() -> bytes:
    """The content of the file: every common password that is long enough for an account, as a sorted list of hashes."""
    common = (word.encode() for word in FREQUENCY_LISTS["passwords"])
    return b"".join(sorted({digest(word) for word in common if len(word) >= PASSWORD_BYTES_MIN}))


if __name__ == "__main__":
    Path(FILE).write_bytes(hashes())
