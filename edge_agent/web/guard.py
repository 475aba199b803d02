"""Who may ask: the Host header, cross-site requests, the token. Adds security headers, logs a line a request."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import secrets
import socket
import time
from collections.abc import Callable
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_agent.config import HttpConfig
from edge_agent.web.problems import Problem, crash

log = logging.getLogger(__name__)

COOKIE = "maskwatch"
SESSION_S = 30 * 86_400
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_PATHS = frozenset({"/login", "/static/style.css", "/static/favicon.svg"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
QUIET_PATHS = ("/static/", "/health", "/ready", "/metrics", "/now", "/stats", "/history")
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
MOST_FAILURES = 5
FAILURES_FORGOTTEN_S = 60.0
MOST_STRANGERS = 1000


class Sessions:
    """Cookies that prove a login without anything stored: an expiry and its HMAC under a key made of the token.

    A new token ends all sessions; a restart ends none.
    """

    def __init__(self, token: str, now: Callable[[], float]) -> None:
        self._token = token.encode()
        self._key = sha256(b"maskwatch session\0" + self._token).digest()
        self._now = now

    def token_fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token)

    def issue(self) -> str:
        body = f"{int(self._now()) + SESSION_S}.{secrets.token_hex(8)}"
        return f"{body}.{self._sign(body)}"

    def valid(self, cookie: str) -> bool:
        body, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return False
        return int(body.split(".")[0]) > self._now()

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), sha256).hexdigest()


class Attempts:
    """Wrong tokens by address: after a few, a stranger waits.

    monotonic: a clock that nobody can set, or a step back of it would lock everybody out until it has caught up.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures: dict[str, list[float]] = {}

    def blocked(self, address: str) -> bool:
        return len(self._recent(address)) >= MOST_FAILURES

    def failed(self, address: str) -> None:
        if len(self._failures) >= MOST_STRANGERS:
            self._failures.clear()
        self._failures[address] = [*self._recent(address)[-MOST_FAILURES:], self._monotonic()]

    def _recent(self, address: str) -> list[float]:
        since_s = self._monotonic() - FAILURES_FORGOTTEN_S
        return [at_s for at_s in self._failures.get(address, []) if at_s > since_s]


class Guard:
    """ASGI middleware around everything.

    now: seconds since 1970, for sessions that outlive a restart; monotonic: for how long a stranger waits.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: HttpConfig,
        token: str | None,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._app = app
        self._sessions = Sessions(token, now) if token else None
        self._attempts = Attempts(monotonic)
        self._names = _own_names(config)
        self._any_address = config.host not in LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the start and the end of the server
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["maskwatch.sessions"] = self._sessions
        scope["maskwatch.attempts"] = self._attempts
        started = time.perf_counter()
        status = 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    out.setdefault(name, value)
                out.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._check(scope, headers)
            if self._may_pass(scope, headers):
                await self._app(scope, receive, guarded)
            else:
                await RedirectResponse("/login", 303)(scope, receive, guarded)
        except Problem as error:
            await error.response(scope["path"])(scope, receive, guarded)
        except Exception:
            if not status:  # the guard itself failed, so that nobody has answered yet
                await crash(scope["path"])(scope, receive, guarded)
            raise
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Refuse a strange Host (DNS rebinding) and a change that another site asks for. Raises Problem."""
        host = headers.get("host", "")
        if not self._known_host(host):
            raise Problem(421, "the Host header does not name this device", "add the name to http.allowed_hosts")
        if scope["method"] in SAFE_METHODS:
            return
        site = headers.get("sec-fetch-site")
        origin = headers.get("origin")
        if site is not None:
            foreign = site not in {"same-origin", "none"}
        else:
            foreign = origin is not None and origin.partition("://")[2] != host
        if foreign:
            raise Problem(403, "another site asked for this", "open the device's own page, or call without a browser")

    def _known_host(self, header: str) -> bool:
        match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?", header)
        if match is None:
            return False
        name = (match[1] or match[2]).lower().rstrip(".")
        if name in self._names:
            return True
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name)  # an address cannot be rebound to another machine
        except ValueError:
            return False
        return True

    def _may_pass(self, scope: Scope, headers: Headers) -> bool:
        """False: a browser that should log in. Raises Problem 401 or 429 for everyone else without the token."""
        if self._sessions is None or scope["path"] in OPEN_PATHS:
            return True
        if self._sessions.valid(_cookie(headers)):
            return True
        address = client_address(scope)
        if self._attempts.blocked(address):
            raise too_many_attempts()
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if self._sessions.token_fits(given.strip()):
                return True
            self._attempts.failed(address)
        elif scope["path"] == "/" and scope["method"] == "GET":
            return False
        raise Problem(
            401,
            "this needs the device's token",
            "send it as 'Authorization: Bearer TOKEN', or log in at /login",
            {"www-authenticate": 'Bearer realm="maskwatch"'},
        )

    @staticmethod
    def _note(scope: Scope, status: int, seconds: float) -> None:
        quiet = status < 400 and scope["path"].startswith(QUIET_PATHS)
        log.log(
            logging.DEBUG if quiet else logging.INFO,
            "%s %s %s %s %.0f ms",
            client_address(scope),
            scope["method"],
            scope["path"].encode("ascii", "backslashreplace").decode()[:200],  # never the query: it may hold anything
            status,
            seconds * 1e3,
        )


def too_many_attempts() -> Problem:
    wait_s = int(FAILURES_FORGOTTEN_S)
    return Problem(429, "too many wrong tokens from this address", "wait a minute", {"retry-after": str(wait_s)})


def client_address(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "unknown"


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _own_names(config: HttpConfig) -> frozenset[str]:
    names = {*LOOPBACK, config.host.lower(), *(name.lower().rstrip(".") for name in config.allowed_hosts)}
    if config.host not in LOOPBACK:
        own = socket.gethostname().lower()
        names |= {own, own.split(".")[0], f"{own.split('.')[0]}.local"}
    return frozenset(names)
