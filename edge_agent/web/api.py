"""What integrators read: health, metrics, model, stats, now, history, events, snapshots."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_agent.records import CANNOT_TELL
from edge_agent.web.compliance_json import compliance_json
from edge_agent.web.history import Query
from edge_agent.web.problems import Problem
from edge_agent.web.reading import query

if TYPE_CHECKING:
    from edge_agent.web.app import Web

HOUR_S, DAY_S = 3600, 86_400
SNAPSHOT_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.:-]{0,127}")
T = TypeVar("T")
Word = Annotated[str, Field(min_length=1, max_length=128)]


def _with_a_clock(given: str) -> str:
    """pydantic alone would read `2026` as so many seconds after 1970."""
    if ":" not in given:
        raise ValueError("give a time such as 2026-01-31T08:00:00Z")
    return given


Time = Annotated[AwareDatetime, BeforeValidator(_with_a_clock)]


class EventsQuery(BaseModel):
    """Filters and paging of GET /events."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=500, description="events a page")
    before: int | None = Field(default=None, ge=1, le=2**53, description="the `next` of the page before")
    camera: Word | None = Field(default=None, description="events of this camera alone")
    type: Literal["new", "update", "end"] | None = Field(default=None, description="events of this type alone")
    label: Word | None = Field(default=None, description="a class, or cannot_tell")
    id: Word | None = Field(default=None, description="events of this visit alone")
    since: Time | None = Field(default=None, description="not before this time, RFC 3339")
    until: Time | None = Field(default=None, description="before this time, RFC 3339")

    def to_query(self) -> Query:
        since = self.since.timestamp() if self.since else None
        until = self.until.timestamp() if self.until else None
        return Query(self.limit, self.before, self.camera, self.type, self.label, self.id, since, until)


class HistoryQuery(BaseModel):
    """The span and its parts for GET /history."""

    model_config = ConfigDict(extra="forbid")

    span_s: int = Field(default=DAY_S, ge=60, le=31 * DAY_S, description="seconds back from now")
    bins: int = Field(default=24, ge=1, le=500, description="equal parts of the span")
    camera: Word | None = Field(default=None, description="this camera alone")


async def health(web: Web, request: Request) -> Response:
    """200 while the agent works, 503 with reasons where it does not."""
    report = web.sources.health()
    body = {
        "status": report.state,
        "reasons": list(report.reasons),
        "cameras": report.cameras,
        "last_frame_age_s": report.last_frame_age_s,
        "uptime_s": report.uptime_s,
    }
    return JSONResponse(body, report.http_status)


async def ready(web: Web, request: Request) -> Response:
    """200 once the first frame was processed or a degraded state declared."""
    report = web.sources.health()
    reasons = [] if report.ready else [*report.reasons] or ["no frame was processed yet"]
    return JSONResponse({"ready": report.ready, "reasons": reasons}, 200 if report.ready else 503)


async def metrics(web: Web, request: Request) -> Response:
    return Response(web.sources.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def model_info(web: Web, request: Request) -> Response:
    return JSONResponse(web.sources.model_info())


async def stats(web: Web, request: Request) -> Response:
    """The stats as they went out last, and the summary where the run is over."""
    web_figures = {
        "viewers": web.live.viewers,
        "pictures_encoded": web.live.encoded,
        "predictions": web.predictions.served,
        "predictions_refused": web.predictions.refused + web.bodies.refused,
    }
    return JSONResponse({**web.state.stats, "web": web_figures, "summary": web.state.summary})


async def now(web: Web, request: Request) -> Response:
    return JSONResponse(now_json(web))


def now_json(web: Web) -> dict[str, Any]:
    """People in view, cameras, health: what the page shows first."""
    report = web.sources.health()
    return {
        **web.state.now_json(),
        "labels": list(web.state.labels),
        "health": report.state,
        "ready": report.ready,
        "reasons": list(report.reasons),
        "live": web.config.live,
        "predict": web.config.predict and web.sources.predictor is not None,
        "login": web.token is not None,
    }


async def history(web: Web, request: Request) -> Response:
    """Visits by verdict: in the last hour, the last day, and in equal parts of a span."""
    asked = query(request, HistoryQuery)
    await web.drain()
    now_s = web.now()
    until_s = now_s + 0.001
    labels = web.state.labels

    def look() -> dict[str, Any]:
        past = web.history
        bins = past.bins(until_s - asked.span_s, until_s, asked.bins, asked.camera)
        return {
            "at": now_s,
            "span_s": asked.span_s,
            "bin_s": asked.span_s / asked.bins,
            "labels": [*labels, CANNOT_TELL],
            "bins": [[part.get(label, 0) for label in (*labels, CANNOT_TELL)] for part in bins],
            "hour": compliance_json(past.visits(until_s - HOUR_S, until_s, asked.camera), labels),
            "day": compliance_json(past.visits(until_s - DAY_S, until_s, asked.camera), labels),
        }

    return JSONResponse(await _remembered(web, look))


async def _remembered(web: Web, look: Callable[[], T]) -> T:
    """What of the history is looked at. Raises Problem 503."""
    try:
        return await web.worker.run(look)
    except sqlite3.Error as error:
        detail, remedy = f"the history cannot be read: {error}", "see whether the device's disk is well"
        raise Problem(503, detail, remedy, {"retry-after": "10"}) from error


async def events(web: Web, request: Request) -> Response:
    """Past events, newest first."""
    asked = query(request, EventsQuery).to_query()
    await web.drain()

    def look() -> tuple[list[dict[str, Any]], int | None]:
        page, cursor = web.history.page(asked)
        return [{**event, "snapshot": _snapshot_path(web, event)} for event in page], cursor

    page, cursor = await _remembered(web, look)
    return JSONResponse({"events": page, "next": cursor})


def _snapshot_path(web: Web, event: dict[str, Any]) -> str | None:
    """Where the visit's best picture is; None where there is none."""
    visit = str(event.get("id", ""))
    return f"/snapshots/{visit}" if SNAPSHOT_ID.fullmatch(visit) and web.sources.snapshot(visit) else None


async def snapshot(web: Web, request: Request) -> Response:
    """The best picture of a visit."""
    wanted = request.path_params["id"].removesuffix(".jpg")
    found = None
    if SNAPSHOT_ID.fullmatch(wanted):
        found = await web.worker.run(lambda: web.sources.snapshot(wanted))
    if found is None:
        raise Problem(404, "there is no picture of that id", "see /events for ids; a visit may have none")
    return Response(found, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


async def openapi(web: Web, request: Request) -> Response:
    from edge_agent.web.openapi import document

    return JSONResponse(document(web.config, web.state.version))


ROUTES = [
    ("/health", "GET", health),
    ("/ready", "GET", ready),
    ("/metrics", "GET", metrics),
    ("/model_info", "GET", model_info),
    ("/stats", "GET", stats),
    ("/now", "GET", now),
    ("/history", "GET", history),
    ("/events", "GET", events),
    ("/snapshots/{id}", "GET", snapshot),
    ("/openapi.json", "GET", openapi),
]
