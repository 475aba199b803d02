"""The web server in a thread of its own: bind before the loop starts, serve beside it, stop within a second.

    server = WebServer(config.http, state, sources, history=state_dir / "history.db")
    server.bind()      # UnavailableError (69) where the port is in use
    server.start()
    ...
    server.stop()

A server that dies is started again; `tell` hears of it. The framework is imported in that thread, so that the agent's
first frame does not wait for it.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.clock import Clock, SystemClock
from edge_agent.config import HttpConfig, read_token
from edge_agent.errors import UnavailableError
from edge_agent.web.limits import BESIDE_STREAMS, Limits
from edge_agent.web.priority import lower_this_thread
from edge_agent.web.state import WebSources, WebState

if TYPE_CHECKING:
    from edge_agent.web.app import Web
    from edge_agent.web.history import History
    from edge_agent.web.quiet import QuietServer

log = logging.getLogger(__name__)
BACKLOG = 64
SEND_BUFFER_BYTES = 64 * 1024
STREAMS_END_WITHIN_S = 0.3
STOP_WITHIN_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


class WebServer:
    """Serves the page and the API. `bind`, `start` and `stop` are called from the agent's thread, in this order."""

    def __init__(
        self,
        config: HttpConfig,
        state: WebState,
        sources: WebSources | None = None,
        *,
        history: Path | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        tell: Callable[[str | None], None] = lambda _fault: None,
    ) -> None:
        """history: an SQLite file for past events; None keeps them in memory only.

        tell: is called from the web thread, with words while the server is away, with None when it serves.
        """
        self._config = config
        self._state = state
        self._sources = sources or WebSources()
        self._history = history
        self._clock = clock or SystemClock()
        self._limits = limits or Limits(most=config.max_streams + BESIDE_STREAMS)
        self._tell = tell
        self._fault: str | None = None
        self._port = 0
        self._past: History | None = None
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._server: QuietServer | None = None
        self._web: Web | None = None
        self._stopping = threading.Event()
        self._token = read_token(config.token_file) if config.token_file else None

    def bind(self) -> int:
        """Take the port. Returns it (of interest where the configuration says 0). Raises UnavailableError."""
        host, port = self._config.host, self._port or self._config.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Accepted sockets inherit it: on a slow line only so many bytes of old pictures lie in the kernel.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            remedy = "give another http.port" if error.errno == errno.EADDRINUSE else "give another http.host"
            raise UnavailableError(f"cannot listen on {host}:{port}: {error.strerror or error}; {remedy}") from error
        self._socket, self._port = listener, int(listener.getsockname()[1])
        return self._port

    @property
    def port(self) -> int:
        """The port that is bound."""
        assert self._port, "bind first"
        return self._port

    @property
    def url(self) -> str:
        """The page's address, as a person on this machine types it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._config.host, self._config.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def start(self) -> None:
        """Serve in the background; connections made before it is up wait in the listener's queue."""
        self._thread = threading.Thread(target=self._keep_serving, name="web", daemon=True)
        self._thread.start()

    def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """End all streams, answer what is under way, close. Returns after `within_s` at the latest."""
        deadline = time.monotonic() + within_s
        self._stopping.set()
        if self._web is not None:
            self._web.close()
        if self._thread is not None:
            self._thread.join(STREAMS_END_WITHIN_S if self._streams_open() else 0)
            if self._server is not None:
                self._server.stop()
            self._thread.join(max(0.0, (deadline - time.monotonic()) / 2))
            if self._server is not None:
                # A viewer that takes nothing any more is cut off, and uvicorn would print a traceback for it.
                logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
                self._server.force_exit = True
            self._thread.join(max(0.0, deadline - time.monotonic()))
        self._close_socket()

    def _streams_open(self) -> bool:
        return self._web is not None and self._web.streams > 0

    def _keep_serving(self) -> None:
        """Serve until `stop`. Whatever else ends the server is said, and it begins again after a pause."""
        lower_this_thread(5)
        pause_s = FIRST_PAUSE_S
        while True:
            began_s = time.monotonic()
            why: BaseException = RuntimeError("it ended by itself")
            try:
                self._serve()
            except BaseException as error:  # noqa: BLE001 - uvicorn exits where it cannot start; nobody else would hear
                why = error
            if time.monotonic() - began_s > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            if not self._stopping.is_set():
                self._say_fault(why)
            self._close_socket()  # who asks meanwhile is refused, and does not wait for an answer that never comes
            if self._stopping.wait(pause_s):
                break
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        if self._past is not None:
            self._past.close()

    def _serve(self) -> None:
        """Serve until `stop`; raises whatever the server dies of."""
        from edge_agent.web.history import History

        self._past = self._past or History(self._history, now=self._clock.utc)
        try:
            if self._socket is None:
                self.bind()
            self._run(self._past)
        finally:
            self._past.add(self._state.events_after(self._past.newest_seen))

    def _run(self, past: History) -> None:
        import uvicorn

        from edge_agent.web.app import Web, create_app
        from edge_agent.web.connections import protocol
        from edge_agent.web.quiet import QuietServer

        web = Web(
            self._state,
            self._config,
            past,
            self._sources,
            token=self._token,
            now=self._clock.utc,
            monotonic=self._clock.monotonic,
        )
        config = uvicorn.Config(
            create_app(web),
            log_config=None,
            access_log=False,
            lifespan="on",
            ws="none",
            http=protocol(self._limits),
            loop="asyncio",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=self._limits.keep_alive_s,
            limit_concurrency=2 * self._limits.most,  # answers that go on when their connection was cut
        )
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        server = QuietServer(config, on_up=self._say_up)
        self._web, self._server = web, server
        server.should_exit = self._stopping.is_set()
        assert self._socket is not None
        try:
            server.run(sockets=[self._socket])
        finally:
            web.finish()

    def _say_fault(self, why: BaseException) -> None:
        cause = f"it ended with status {why.code}" if isinstance(why, SystemExit) else str(why) or type(why).__name__
        words = f"the page does not answer: {cause}"
        if words != self._fault:
            log.error("%s; the camera goes on without it, and it is tried again", words, exc_info=why)
        self._fault = words
        self._tell(words)

    def _say_up(self) -> None:
        if self._fault is not None:
            log.info("the page answers again")
        self._fault = None
        self._tell(None)

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
