"""How settings fail."""


class BadSettings(Exception):
    """What the operator said cannot be used. The text is one line; `problems` has all of them, a line each."""

    def __init__(self, *problems: str) -> None:
        more = len(problems) - 1
        super().__init__(problems[0] + (f" (and {more} more: see wirechat config check)" if more else ""))
        self.problems = problems
