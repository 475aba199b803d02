"""Errors as problem+json (RFC 9457): what is wrong, where, and what would do."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """Ends a request. `detail` says what is wrong, `remedy` what would do."""

    def __init__(self, status: int, detail: str, remedy: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.remedy = remedy
        self.headers = headers or {}

    def response(self, path: str) -> Response:
        return problem(self.status, self.detail, self.remedy, path, self.headers)


def problem(status: int, detail: str, remedy: str, path: str, headers: dict[str, str] | None = None) -> Response:
    """A problem as an answer."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "remedy": remedy,
        "instance": path,
    }
    return JSONResponse(body, status, headers, MEDIA_TYPE)


async def on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request.url.path)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses: an address or a method that is not there."""
    assert isinstance(error, HTTPException)
    remedy = {
        404: "see /openapi.json for the addresses there are",
        405: f"use {(error.headers or {}).get('Allow', 'another method')}",
    }.get(error.status_code, "see /openapi.json")
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, str(error.detail), remedy, request.url.path, headers)


async def on_crash(request: Request, error: Exception) -> Response:
    return crash(request.url.path)


def crash(path: str) -> Response:
    return problem(500, "the agent made a mistake with this request", "see its log, and report it", path)
