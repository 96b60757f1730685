"""What HTTP is for here: is the process alive, should it get work, what does it count. An ASGI application that knows
its collaborators and nothing of sockets.
"""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from wirechat.server.health import Check, Health
from wirechat.server.metrics import CONTENT_TYPE, Metrics

ABOUT = """This is a wirechat server. A browser is not the way in: use a client.

/livez    whether the process answers
/readyz   whether it should be given work, and if not, what to do
/metrics  what it counts, for Prometheus
"""

NEVER_KEPT = {"cache-control": "no-store"}


def application(health: Health, metrics: Metrics) -> Starlette:
    """The side door's application."""

    async def about(request: Request) -> Response:
        return PlainTextResponse(ABOUT)

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=NEVER_KEPT)

    async def readyz(request: Request) -> Response:
        checks = await health.checks()
        status = 200 if all(check.ok for check in checks) else 503
        return Response(_report(checks), status, NEVER_KEPT, "application/json")

    async def scrape(request: Request) -> Response:
        return Response(await metrics.text(), headers=NEVER_KEPT, media_type=CONTENT_TYPE)

    return Starlette(
        routes=[
            Route("/", about),
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", scrape),
        ]
    )


def _report(checks: list[Check]) -> str:
    """JSON with one line for each check, so that people can read it too."""
    lines = [f"  {json.dumps(check.name)}: {json.dumps({'ok': check.ok, 'text': check.text})}" for check in checks]
    return "{\n" + ",\n".join(lines) + "\n}\n"
