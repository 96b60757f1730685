"""SIGHUP: certificates, rules, limits and the log change under a running server, and no connection notices.

New handshakes get the new certificate, together with its digest for channel binding; those that have begun keep
theirs. A configuration that cannot be used changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import structlog

from wirechat.cli import logs
from wirechat.server.config import Config
from wirechat.server.listeners import Listener, Tls
from wirechat.settings import checks
from wirechat.settings.errors import BadSettings
from wirechat.settings.reading import Sources
from wirechat.settings.schema import FIELDS, Settings, about

log = structlog.get_logger("wirechat")


@attrs.define
class Reloading:
    """What a running server has, and where to read what it should have."""

    sources: Sources
    settings: Settings
    config: Config
    listeners: Sequence[Listener]

    def reload(self) -> None:
        """Take over what may change; name the rest in the log. Never raises for bad input."""
        try:
            new = checks.complete(self.sources.load().settings)
            tls = checks.tls(attrs.evolve(new, listen=self.settings.listen))
        except BadSettings as error:
            log.error("the configuration stays as it was", reason=str(error))
            return
        changed = [path for path in FIELDS if new.value(path) != self.settings.value(path)]
        fixed = [path for path in changed if not about(path).reloads]
        self._take(new, tls)
        log.info("reloaded", changed=[path for path in changed if path not in fixed], certificate=tls is not None)
        if fixed:
            log.warning("restart the server for these to change", settings=fixed)

    def _take(self, new: Settings, tls: Tls | None) -> None:
        logs.configure(new.log)
        self.config.adopt(new.config())
        for listener in self.listeners:
            listener.renew(tls)
        self.settings = attrs.evolve(self.settings, tls=new.tls, accounts=new.accounts, limits=new.limits, log=new.log)
