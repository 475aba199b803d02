"""Bodies of requests in memory, bounded together from their first byte until they are answered.

One that is still coming takes what is here of it and nothing else: whoever stalls keeps nobody from being answered.
Where room runs out, the address that holds most with what is still coming loses its oldest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from edge_agent.config import HttpConfig
from edge_agent.web.problems import Problem

T = TypeVar("T")
FORM_OVERHEAD_BYTES = 64 * 1024


class Body:
    """One body: whose it is, how many bytes of it lie here, whether more is to come, whether it had to make room."""

    def __init__(self, bodies: Bodies, address: str) -> None:
        self.address = address
        self.held_bytes = 0
        self.coming = True
        self.gave_way = False
        self._bodies = bodies
        self._patience: asyncio.Timeout | None = None

    async def wait(self, chunk: Awaitable[T], deadline_s: float) -> T:
        """A chunk that comes. Raises TimeoutError at the deadline, on the loop's clock, and Problem 429 as `take`."""
        try:
            async with asyncio.timeout_at(deadline_s) as self._patience:
                return await chunk
        except TimeoutError:
            self._check()
            raise
        finally:
            self._patience = None

    def take(self, count_bytes: int) -> None:
        """Hold so many bytes more. Raises Problem 429 where this body has to make room."""
        self._check()
        self.held_bytes += count_bytes
        self._bodies.make_room()
        self._check()

    def give_way(self) -> None:
        """End it, also where it waits for bytes that may never come."""
        self.gave_way = True
        if self._patience is not None:
            self._patience.reschedule(0)

    def _check(self) -> None:
        if self.gave_way:
            raise Problem(429, "too much is uploaded at once", "try again in a second", {"retry-after": "1"})


class Bodies:
    """All bodies that lie in memory, the oldest first. Belongs to the web thread."""

    def __init__(self, most_bytes: int) -> None:
        """most_bytes: at least that of the largest body that is taken, or it would never come whole."""
        self.refused = 0
        self._most_bytes = most_bytes
        self._held: dict[Body, None] = {}

    @classmethod
    def of(cls, config: HttpConfig) -> Bodies:
        """Room for all pictures that may wait and a batch: what is still coming finds some while the queue is full."""
        pictures_bytes = config.max_waiting * (config.max_image_bytes + FORM_OVERHEAD_BYTES)
        return cls(pictures_bytes + config.max_batch_bytes)

    @property
    def held_bytes(self) -> int:
        """What all bodies take, without those that were told to make room."""
        return sum(body.held_bytes for body in self._held if not body.gave_way)

    @contextmanager
    def held(self, address: str) -> Iterator[Body]:
        """A body of that address, until the block ends."""
        body = Body(self, address)
        self._held[body] = None
        try:
            yield body
        finally:
            del self._held[body]

    def make_room(self) -> None:
        """Let bodies that are still coming give way until the others fit."""
        while self.held_bytes > self._most_bytes:
            coming = [body for body in self._held if body.coming and not body.gave_way]
            of_address = Counter[str]()
            for body in coming:
                of_address[body.address] += body.held_bytes
            max(coming, key=lambda body: of_address[body.address]).give_way()  # of equals the first: the oldest
            self.refused += 1
