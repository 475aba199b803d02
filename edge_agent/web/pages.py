"""The page itself: static files from memory, login and logout."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from edge_agent.web.guard import COOKIE, SESSION_S, Attempts, Sessions, client_address, too_many_attempts
from edge_agent.web.problems import Problem
from edge_agent.web.reading import read_body

if TYPE_CHECKING:
    from edge_agent.web.app import Web

MOST_LOGIN_BYTES = 4096
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, as it is and compressed."""

    plain: bytes
    packed: bytes
    media_type: str
    etag: str


@cache
def asset(name: str) -> Asset | None:
    """A static file by its name; None where there is none, or the name is longer than a file system takes."""
    source = files("edge_agent.web") / "static" / name
    kind = name.rpartition(".")[2]
    if "/" in name or "\\" in name or kind not in MEDIA_TYPES or len(name) > 100 or not source.is_file():
        return None
    data = source.read_bytes()
    return Asset(data, gzip.compress(data, 6), MEDIA_TYPES[kind], f'"{sha256(data).hexdigest()[:16]}"')


def serve(request: Request, name: str, status: int = 200) -> Response:
    """A static file, compressed where the browser can take it, 304 where it has it."""
    found = asset(name)
    if found is None:
        raise Problem(404, "there is no such file", "open / for the page")
    headers = {"etag": found.etag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, status, {**headers, "content-encoding": "gzip"}, found.media_type)
    return Response(found.plain, status, headers, found.media_type)


async def index(web: Web, request: Request) -> Response:
    return serve(request, "index.html")


async def static(web: Web, request: Request) -> Response:
    return serve(request, request.path_params["name"])


async def login_page(web: Web, request: Request) -> Response:
    return serve(request, "login.html")


async def login(web: Web, request: Request) -> Response:
    """Check the token that a form sent, and give a cookie for it."""
    sessions: Sessions | None = request.scope["maskwatch.sessions"]
    attempts: Attempts = request.scope["maskwatch.attempts"]
    address = client_address(request.scope)
    if sessions is None:
        return RedirectResponse("/", 303)
    if attempts.blocked(address):
        raise too_many_attempts()
    with web.bodies.held(address) as body:
        form = parse_qs((await read_body(request, body, MOST_LOGIN_BYTES)).decode("utf-8", "replace"))
    if not sessions.token_fits(form.get("token", [""])[0].strip()):
        attempts.failed(address)
        return login_failed()
    answer = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, sessions.issue(), SESSION_S, httponly=True, samesite="strict", secure=secure)
    return answer


def login_failed() -> Response:
    """The form again, with what was wrong."""
    form = asset("login.html")
    assert form is not None
    words = b'<p class="failed" role="alert">This is not the device\xe2\x80\x99s token.</p>'
    return Response(form.plain.replace(b"<!--FAILED-->", words), 401, media_type=form.media_type)


async def logout(web: Web, request: Request) -> Response:
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


Handler = Callable[["Web", Request], Awaitable[Response]]
ROUTES: list[tuple[str, str, Handler]] = [
    ("/", "GET", index),
    ("/static/{name}", "GET", static),
    ("/login", "GET", login_page),
    ("/login", "POST", login),
    ("/logout", "POST", logout),
]
