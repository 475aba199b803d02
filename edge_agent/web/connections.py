"""Connections that bring no request: each is closed after a while, and sooner where there is no room for others.

uvicorn by itself waits for a request for ever, and has no room left for anybody while many wait like that.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_agent.web.limits import Limits

log = logging.getLogger(__name__)


class Connection(H11Protocol):
    """uvicorn's connection, with an end to its patience."""

    def __init__(self, *given: Any, limits: Limits, **more: Any) -> None:
        super().__init__(*given, **more)
        self._limits = limits
        self._patience: asyncio.TimerHandle | None = None
        self.waits_since_s = 0.0

    @property
    def waits(self) -> bool:
        """Whether no answer is under way."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waits_since_s = self.loop.time()
        self._wait_at_most(self._limits.head_within_s)
        if len(self.connections) > self._limits.most:
            others = [one for one in self.connections if isinstance(one, Connection) and one is not self]
            who = who_leaves(self, others)
            log.warning("there is no room for more connections; %s, which has most of them, loses some", who.address)
            who.leave()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.waits:
            self._wait_at_most(self._limits.head_within_s)  # of a head that comes in bits the first bit counts
        else:
            self._wait_freely()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.waits:  # the next request may be under way already
            self.waits_since_s = self.loop.time()
            self._wait_at_most(self._limits.keep_alive_s + self._limits.head_within_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_freely()
        super().connection_lost(exc)

    def leave(self) -> None:
        """Cut off now: a polite end would wait for a reader that may never read."""
        self._wait_freely()
        self.connections.discard(self)  # at once, so that the next newcomer does not count it again
        self.transport.abort()

    def _wait_at_most(self, seconds: float) -> None:
        """Leave in so many seconds, or when it was to leave already, whichever is sooner."""
        if self._patience is None or self.loop.time() + seconds < self._patience.when():
            self._wait_freely()
            self._patience = self.loop.call_later(seconds, self.leave)

    def _wait_freely(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def who_leaves(newcomer: Connection, others: Collection[Connection]) -> Connection:
    """Whose connection makes room: the oldest that waits, of the address with most such. So nobody crowds out others.

    Where none waits, the address with most answers under way loses its oldest; the newcomer, where that is its own.
    """
    held = Counter(one.address for one in (newcomer, *others))
    waiting = [one for one in others if one.waits]
    if waiting:
        idle = Counter(one.address for one in waiting)
        return max(waiting, key=lambda one: (idle[one.address], held[one.address], -one.waits_since_s))
    greediest = max(others, key=lambda one: (held[one.address], -one.waits_since_s))
    return newcomer if held[newcomer.address] >= held[greediest.address] else greediest


def protocol(limits: Limits) -> type[asyncio.Protocol]:
    """What uvicorn calls for each connection."""
    make: Callable[..., asyncio.Protocol] = partial(Connection, limits=limits)
    return cast(type[asyncio.Protocol], make)
