"""Where this device stands in one conversation.

Rules: numbers are evidence and only Sync changes them. A jump or a reset replaces the object, so whoever kept the old
one (a question that was asked) sees that its ground is gone.
"""

import attrs

from wirechat import wire

__all__ = ["Log"]


@attrs.define(eq=False)
class Log:
    """Positions in one conversation. `[low, pos]` is the range held without a hole."""

    conv: int
    pos: int = 0
    """Every change up to here is folded into the records."""
    want: int = 0
    """Entries exist up to here, as far as we were told."""
    catch: bool = False
    """A paged CHANGES is unfinished: live entries must wait."""
    low: int = 1
    """Nothing below is held for sure: this device jumped over it."""
    rpos: int = 0
    """Watermarks are known up to this receipt counter."""
    rwant: int = 0
    """The receipt counter stands here, as far as we were told."""
    delivered: int = 0
    """My own delivered watermark, as the server last said."""
    read: int = 0
    """My own read watermark."""
    former: bool = False
    """I am not a member any more: the log ended for me."""
    former_at: int = 0
    """The seq of the newest evidence for `former`."""
    described: bool = False
    """The cached description (title, members, role) is current."""

    asking: set[type[wire.Request]] = attrs.field(factory=set, init=False)
    """Kinds of questions under way on this connection; not durable."""
    stalled: set[type[wire.Request]] = attrs.field(factory=set, init=False)
    """Kinds of questions that brought nothing: not asked again before there is new evidence; not durable."""

    start: int = attrs.field(default=0, init=False)
    """`pos` when this connection's first SYNC was sent; not durable."""

    outdated: bool = attrs.field(default=False, init=False)
    """The description that is being asked for is outdated already; not durable."""

    def lacks(self, kind: type[wire.Request]) -> bool:
        """True when a question of this kind should be asked now."""
        return kind not in self.asking and kind not in self.stalled and self._missing(kind)

    @property
    def complete(self) -> bool:
        """True when nothing known to exist is missing, as far as it can be fetched."""
        return not any(self._missing(kind) and kind not in self.stalled for kind in (wire.Changes, wire.Marks))

    @property
    def held(self) -> int:
        """What may be reported as delivered: 0 when there is a hole above the delivered watermark.

        An unfinished catch-up is one: a record that was changed later has left the pages that came.
        """
        return self.pos if self.low <= self.delivered + 1 and not self.catch else 0

    def _missing(self, kind: type[wire.Request]) -> bool:
        if kind is wire.Changes:
            return self.want > self.pos or self.catch
        if kind is wire.Marks:
            return self.rwant > self.rpos
        return not self.described
