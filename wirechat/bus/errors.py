"""How a bus fails."""


class BusError(Exception):
    """It cannot be used as the operator says. One line: what is wrong, and what to do."""
