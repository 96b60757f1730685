"""Addresses of services. They may carry a password or a token: kept whole, shown without."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import attrs

from wirechat.bus.address import addresses

HIDDEN = "***"

_LOGIN = re.compile(r"(://[^:@/]*):.*@")
"""Greedily: whoever has an @ in his password and did not escape it has a password all the same."""

_PARAMETER = re.compile(r"([?&](?:ssl)?password=)[^&]*")
_TOKEN = re.compile(r"://[^:@/]+@")


def shown(text: str) -> str:
    """A URL, or a line with one in it, without its password. A host that is followed by an @ may go with it."""
    return _PARAMETER.sub(rf"\1{HIDDEN}", _LOGIN.sub(rf"\1:{HIDDEN}@", text))


@attrs.frozen(repr=False)
class Url:
    """Its text is for whoever connects; `str` and `repr` are for everyone."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class StoreUrl(Url):
    """A database of PostgreSQL."""

    @classmethod
    def parse(cls, text: str) -> StoreUrl:
        """Raises ValueError with a line that shows no secret."""
        try:
            url = urlsplit(text)
            places = [urlsplit(f"//{place}").port for place in url.netloc.rpartition("@")[2].split(",")]
        except ValueError:
            places = []
        if not places or url.scheme not in ("postgresql", "postgres"):
            raise ValueError("is not an address of PostgreSQL; write it like postgresql://user@host/database")
        return cls(text)

    def __str__(self) -> str:
        return shown(self.text)


class BusUrl(Url):
    """One or several servers of NATS, with commas between them."""

    @classmethod
    def parse(cls, text: str) -> BusUrl:
        """Raises ValueError with a line that shows no secret."""
        addresses(text)
        return cls(text)

    def __str__(self) -> str:
        return ",".join(_TOKEN.sub(f"://{HIDDEN}@", shown(part)) for part in self.text.split(","))
