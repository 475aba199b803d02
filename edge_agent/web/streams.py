"""Answers that last: the live picture (multipart) and changes (server-sent events)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from edge_agent.web.api import now_json
from edge_agent.web.held import HeldResponse
from edge_agent.web.live import BOUNDARY, Picture
from edge_agent.web.problems import Problem
from edge_agent.web.reading import query

if TYPE_CHECKING:
    from edge_agent.web.app import Web

PARTS = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
EVENTS = "text/event-stream"
LOOK_EVERY_S = 0.25
NOW_EVERY_S = 1.0
STATS_EVERY_S = 5.0
BEAT_EVERY_S = 15.0


class LiveQuery(BaseModel):
    """What a viewer wants."""

    model_config = ConfigDict(extra="forbid")

    camera: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="which camera; the first where it is left out"
    )
    boxes: bool = Field(default=False, description="draw boxes and classes into the picture")
    fps: float = Field(default=30, ge=0.1, le=60, description="at most so many pictures a second")


async def live(web: Web, request: Request) -> Response:
    """Pictures as multipart/x-mixed-replace; each part's X-Frame header says in JSON what was seen in it."""
    asked = query(request, LiveQuery)
    _live_allowed(web)
    async with AsyncExitStack() as held:
        held.enter_context(_place(web))
        if request.method == "HEAD":
            return Response(media_type=PARTS)
        pictures = web.live.pictures(asked.camera, asked.boxes, asked.fps)
        held.push_async_callback(pictures.aclose)
        first = await anext(pictures, None)  # so that a problem is an answer, not a broken stream
        if first is None:
            raise Problem(503, "the agent is stopping", "try again when it is up")
        return HeldResponse(_parts(first, pictures), held.pop_all(), PARTS)


async def still(web: Web, request: Request) -> Response:
    """The newest picture alone."""
    asked = query(request, LiveQuery)
    _live_allowed(web)
    _check_room(web)
    picture = await web.live.still(asked.camera, asked.boxes)
    return Response(picture.jpeg, media_type="image/jpeg", headers={"x-frame": picture.meta.decode("ascii")})


def _live_allowed(web: Web) -> None:
    if not web.config.live:
        raise Problem(403, "the live view is off on this device", "set http.live = true in its configuration")


def _check_room(web: Web) -> None:
    if web.streams >= web.config.max_streams:
        raise Problem(429, "too many viewers look already", "close another page", {"retry-after": "5"})


@contextmanager
def _place(web: Web) -> Iterator[None]:
    """A place among the viewers. Raises Problem 429 where all are taken."""
    _check_room(web)
    web.streams += 1  # before anything is awaited, or those who ask at once all see the last free place
    try:
        yield
    finally:
        web.streams -= 1


async def _parts(first: Picture, pictures: AsyncIterator[Picture]) -> AsyncIterator[bytes]:
    yield f"--{BOUNDARY}\r\n".encode() + first.part()
    async for picture in pictures:
        yield picture.part()


async def changes(web: Web, request: Request) -> Response:
    """Server-sent events: now, visit, stats, summary; Last-Event-ID resumes the visits."""
    async with AsyncExitStack() as held:
        held.enter_context(_place(web))
        if request.method == "HEAD":
            return Response(media_type=EVENTS)
        last = request.headers.get("last-event-id", "")
        start = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else web.state.last_event
        body = _changes(web, min(start, web.state.last_event))
        return HeldResponse(body, held.pop_all(), EVENTS, {"x-accel-buffering": "no"})


async def _changes(web: Web, visit: int) -> AsyncIterator[bytes]:
    sent_now: dict[str, Any] = {}
    due_now_s = due_stats_s = due_beat_s = 0.0
    elapsed_s = 0.0
    summary_sent = False
    yield b"retry: 2000\n\n"
    while True:
        now = now_json(web)
        if _told(now) != _told(sent_now) or elapsed_s >= due_now_s:
            sent_now, due_now_s = now, elapsed_s + NOW_EVERY_S
            yield _message("now", now)
        for number, event in web.state.events_after(visit):
            visit = number
            yield _message("visit", event, number)
        if elapsed_s >= due_stats_s and web.state.stats:
            due_stats_s = elapsed_s + STATS_EVERY_S
            yield _message("stats", web.state.stats)
        if web.state.summary is not None and not summary_sent:
            summary_sent = True
            yield _message("summary", web.state.summary)
        if elapsed_s >= due_beat_s:
            due_beat_s = elapsed_s + BEAT_EVERY_S
            yield b": beat\n\n"
        if not await web.pause(LOOK_EVERY_S):
            if web.state.summary is not None and not summary_sent:
                yield _message("summary", web.state.summary)
            yield _message("bye", {})
            return
        elapsed_s += LOOK_EVERY_S


def _told(now: dict[str, Any]) -> Any:
    """What of `now` is sent at once when it changes."""
    cameras = [(one["name"], one["status"], one["reason"]) for one in now.get("cameras", [])]
    return now.get("people"), now.get("health"), now.get("reasons"), cameras


def _message(event: str, data: Any, number: int | None = None) -> bytes:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


ROUTES = [
    ("/live.mjpg", "GET", live),
    ("/live.jpg", "GET", still),
    ("/events/stream", "GET", changes),
]
