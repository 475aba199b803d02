"""The application: what answers each address. Nothing is global: all of it hangs on one `Web`.

Starlette alone, without FastAPI: that saves 11 MB and half a second of a start (docs/decisions/web-framework.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from edge_agent.config import HttpConfig
from edge_agent.web import problems
from edge_agent.web.bodies import Bodies
from edge_agent.web.guard import Guard
from edge_agent.web.history import History
from edge_agent.web.live import LiveHub
from edge_agent.web.predictions import Predictions
from edge_agent.web.priority import Worker
from edge_agent.web.state import WebSources, WebState

DRAIN_EVERY_S = 5.0


class Web:
    """Everything the routes need. Made in the web thread; `close` may be called from any."""

    def __init__(
        self,
        state: WebState,
        config: HttpConfig,
        history: History,
        sources: WebSources | None = None,
        *,
        token: str | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = state
        self.config = config
        self.sources = sources or WebSources()
        self.token = token
        self.now = now
        self.monotonic = monotonic
        self.streams = 0
        self.closing = False
        self.worker = Worker("web-worker", niceness=5)
        self.history = history
        self.live = LiveHub(state, self.sources, config, self.worker)
        self.predictions = Predictions(self.sources, config)
        self.bodies = Bodies.of(config)
        self.started_s = now()

    async def drain(self) -> None:
        """Bring new events of the loop into the history."""
        if self.state.last_event > self.history.newest_seen:
            await self.worker.run(self._drain)

    def _drain(self) -> None:
        self.history.add(self.state.events_after(self.history.newest_seen))

    async def keep(self) -> None:
        """Drain now and then until cancelled, since the loop's ring is short and nobody may look for days. So the file
        is looked after too, which may be deleted while nobody passes by.
        """
        while True:
            await asyncio.sleep(DRAIN_EVERY_S)
            await self.worker.run(self.history.keep_file)
            await self.drain()

    async def pause(self, seconds: float) -> bool:
        """Sleep in a stream; false when the server stops and the stream should end."""
        until = time.monotonic() + seconds
        while not self.closing and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.1))
        return not self.closing

    def close(self) -> None:
        """Ask all streams to end."""
        self.closing = True
        self.live.close()

    def finish(self) -> None:
        """End the workers; the server is down by now."""
        self.worker.stop()
        self.predictions.stop()


def create_app(web: Web) -> ASGIApp:
    """The ASGI application."""
    from edge_agent.web import api, pages, streams, uploads

    def bound(routes: list[tuple[str, str, Callable[..., object]]]) -> list[Route]:
        return [Route(path, _with(web, handler), methods=[method]) for path, method, handler in routes]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(web.keep())
        yield
        task.cancel()

    app = Starlette(
        lifespan=lifespan,
        routes=bound([*pages.ROUTES, *api.ROUTES, *streams.ROUTES, *uploads.ROUTES]),
        exception_handlers={
            problems.Problem: problems.on_problem,
            HTTPException: problems.on_http_exception,
            Exception: problems.on_crash,
        },
    )
    # Around the whole of it: Starlette answers a crash outside of its middleware, where no header would be added.
    return Guard(app, web.config, web.token, now=web.now, monotonic=web.monotonic)


def _with(web: Web, handler: Callable[..., object]) -> Callable[..., object]:
    async def endpoint(request: object) -> object:
        return await handler(web, request)  # type: ignore[misc]

    return endpoint
