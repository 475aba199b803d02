"""Work off the camera loop: one low-priority daemon thread that takes one job at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
Job = Callable[[], None]


def lower_this_thread(niceness: int) -> None:
    """Let the camera loop go first: so many steps nicer than the thread that started this one.

    On Linux a thread has a niceness of its own; elsewhere nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + niceness))


class Worker:
    """A daemon thread, so that a job under way never keeps the process alive (a ThreadPoolExecutor's would).

    It starts with its first job and may be given to several coroutines of one event loop.
    """

    def __init__(self, name: str, niceness: int) -> None:
        self._name = name
        self._niceness = niceness
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, done in the thread after the jobs before it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def job() -> None:
            if answer.cancelled():
                return
            result: Any = None
            failed: BaseException | None = None
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - it is raised again where the result is awaited
                failed = error
            with contextlib.suppress(RuntimeError):  # the event loop may be closed by now
                loop.call_soon_threadsafe(settle, result, failed)

        self._jobs.put(job)
        return await answer

    def stop(self) -> None:
        """End after the job under way; does not wait."""
        self._jobs.put(None)

    def _work(self) -> None:
        lower_this_thread(self._niceness)
        while (job := self._jobs.get()) is not None:
            job()
