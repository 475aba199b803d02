"""Predictions for strangers: one at a time, at low priority, by an interpreter of their own: the camera goes first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edge_agent.config import HttpConfig
from edge_agent.errors import ImageError, MaskwatchError
from edge_agent.web.images import decode
from edge_agent.web.priority import Worker
from edge_agent.web.problems import Problem
from edge_agent.web.state import Json, WebSources


@dataclass(frozen=True, slots=True)
class Answer:
    """What `predict --json` prints of one picture, and how long it took without the wait."""

    json: Json
    seconds: float


class Predictions:
    """The queue in front of the predictor, which is made at the first picture."""

    def __init__(self, sources: WebSources, config: HttpConfig) -> None:
        self._make = sources.predictor
        self._config = config
        self._worker = Worker("web-predict", niceness=10)
        self._predictor: Any = None
        self._waiting = 0
        self._batch_open = False
        self.served = 0
        self.refused = 0

    def check_place(self) -> None:
        """Whether there is a place now, asked before a body is read, so that it is not sent in vain. Raises Problem."""
        if self._make is None or not self._config.predict:
            raise Problem(403, "this device answers no predictions", "set http.predict = true, or use another device")
        if self._waiting >= self._config.max_waiting:
            self.refused += 1
            raise Problem(429, "too many pictures wait already", "try again in a second", {"retry-after": "1"})

    def check_batch_place(self) -> None:
        """The same for a batch. Raises Problem."""
        if self._batch_open:
            self.refused += 1
            raise Problem(429, "another batch is under way", "try again when it is done", {"retry-after": "5"})
        self.check_place()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue, taken once the body is here: one that stalls keeps nobody waiting. Raises Problem."""
        self.check_place()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @contextmanager
    def batch_place(self) -> Iterator[None]:
        """The one place for a batch, taken as `place` is. Raises Problem."""
        self.check_batch_place()
        with self.place():
            self._batch_open = True
            try:
                yield
            finally:
                self._batch_open = False

    async def predict(self, data: bytes, name: str) -> Answer:
        """Look at one encoded picture. Raises Problem 413, 422 or 503."""
        try:
            async with asyncio.timeout(self._config.predict_timeout_s):
                answer = await self._worker.run(lambda: self._look(data, name))
        except TimeoutError:
            raise Problem(
                503, "the device is too busy for this picture", "try again later", {"retry-after": "5"}
            ) from None
        self.served += 1
        return answer

    def stop(self) -> None:
        self._worker.stop()

    def _look(self, data: bytes, name: str) -> Answer:
        started = time.perf_counter()
        picture = decode(data, self._config.max_image_pixels)
        try:
            result = self._open().predict(picture, name)
        except ImageError as error:
            raise Problem(422, str(error), "send another picture") from error
        except MaskwatchError as error:  # of its models: a reload may bring others at any time
            raise Problem(503, f"the models cannot be opened: {error}", "see the agent's log") from error
        return Answer(result.to_json(), time.perf_counter() - started)

    def _open(self) -> Any:
        if self._predictor is None:
            assert self._make is not None
            self._predictor = self._make()
        return self._predictor
