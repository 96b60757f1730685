"""What HTTP is for here: is the process alive, should it get work, what does it count. An ASGI application that knows
its collaborators and nothing of sockets.
"""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wirechat.server.health import Check, Health
from wirechat.server.metrics import CONTENT_TYPE, Metrics

ABOUT = """This is a wirechat server. A browser is not the way in: use a client.

/livez    whether the process answers
/readyz   whether it should be given work, and if not, what to do
/metrics  what it counts, for Prometheus
"""

ALWAYS_SAID = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""To a browser that comes here all the same: this is text, for nobody's page, and not to be kept."""


class _Wary:
    """Says ALWAYS_SAID with every answer, refusals of the framework among them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(ALWAYS_SAID)
            await send(message)

        await self._app(scope, receive, say)


def application(health: Health, metrics: Metrics) -> Starlette:
    """The side door's application."""

    async def about(request: Request) -> Response:
        return PlainTextResponse(ABOUT)

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        checks = await health.checks()
        status = 200 if all(check.ok for check in checks) else 503
        return Response(_report(checks), status, media_type="application/json")

    async def scrape(request: Request) -> Response:
        return Response(await metrics.text(), media_type=CONTENT_TYPE)

    made = Starlette(
        routes=[
            Route("/", about),
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", scrape),
        ],
        middleware=[Middleware(_Wary)],
    )
    made.router.redirect_slashes = False  # a probe that asks for the wrong path is told so
    return made


def _report(checks: list[Check]) -> str:
    """JSON with one line for each check, so that people can read it too."""
    lines = [f"  {json.dumps(check.name)}: {json.dumps(_told(check))}" for check in checks]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _told(check: Check) -> dict[str, object]:
    return {"ok": check.ok, **({"warning": True} if check.warning else {}), "text": check.text}
