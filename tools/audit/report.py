"""From what pip-audit found to a verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen
class Finding:
    """A known vulnerability of an installed package."""

    package: str
    version: str
    ids: tuple[str, ...]
    """Of the advisory: its own first, then the others that mean the same."""
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "there is no fix yet"
        return f"{self.package} {self.version}: {' '.join(self.ids)}, {fixed}"


@attrs.frozen
class Report:
    """What one service knows."""

    audited: tuple[str, ...]
    unknown: tuple[str, ...]
    """Packages of which the service knows nothing: no advisories, nor that there are none."""
    findings: tuple[Finding, ...]

    def without(self, accepted: Mapping[str, str]) -> tuple[Finding, ...]:
        """The findings that nobody has accepted."""
        return tuple(each for each in self.findings if not accepted.keys() & set(each.ids))

    def needless(self, accepted: Mapping[str, str]) -> list[str]:
        """What was accepted and is not there any more, as far as all was audited."""
        found = {each for finding in self.findings for each in finding.ids}
        return [] if self.unknown else sorted(accepted.keys() - found)


def read(text: str) -> Report:
    """A report from pip-audit's JSON. Raises ValueError when it is none."""
    try:
        packages: Sequence[dict[str, Any]] = json.loads(text)["dependencies"]
        audited = [each for each in packages if "skip_reason" not in each]
        return Report(
            tuple(each["name"] for each in audited),
            tuple(each["name"] for each in packages if "skip_reason" in each),
            tuple(
                Finding(
                    each["name"],
                    each["version"],
                    tuple(dict.fromkeys((found["id"], *found.get("aliases", ())))),
                    tuple(found.get("fix_versions", ())),
                )
                for each in audited
                for found in each["vulns"]
            ),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"pip-audit has another format: {error}") from None
