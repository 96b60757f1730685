"""Blame is in the type: ProtocolViolation is the peer's fault, LocalViolation is ours."""


class ProtocolViolation(Exception):
    """The peer sent something this protocol does not allow.

    code      error code for the peer
    message   for people
    rid       set: answer ERROR with this rid, the connection lives. None: answer ERROR and close.
    """

    def __init__(self, code: int, message: str, rid: int | None = None) -> None:
        super().__init__(code, message, rid)
        self.code = code
        self.message = message
        self.rid = rid

    def __str__(self) -> str:
        return f"{self.code} {self.message}" + ("" if self.rid is None else f" (request {self.rid})")

    @property
    def fatal(self) -> bool:
        """True when the connection must be closed."""
        return self.rid is None


class LocalViolation(Exception):
    """This side was about to send what it may not send now: a bug of the caller."""
