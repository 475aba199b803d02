"""A live camera: a capture thread that keeps the newest picture only, and a watchdog outside it.

The thread opens, grabs and opens again, with growing pauses. `read` runs in the loop's thread and is the watchdog:
where a thread has been stuck in a driver for `STUCK_AFTER_S` it is abandoned (a thread cannot be killed; what it still
delivers is refused) and another takes its place, up to MOST_ABANDONED stuck ones at a time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import cv2

from edge_agent.camera.backoff import Backoff
from edge_agent.camera.base import Figures
from edge_agent.camera.grabbers import Grabber, Opener
from edge_agent.clock import Clock
from edge_agent.config import CameraConfig
from edge_agent.errors import CameraError
from edge_agent.records import U8, Frame

STALLED_AFTER_S = 3.0
STUCK_AFTER_S = 20.0  # longer than every timeout given to FFmpeg and V4L2 (10 s)
MOST_ABANDONED = 3
BAD_PICTURES_MOST = 100  # in a row: then the connection is made anew
STEADY_AFTER_S = 10.0  # a connection that lasted so long is no failure when it ends
CLOSE_WAIT_S = 0.5


class LiveSource:
    """Frames of a camera, newest first. Never raises after it is made."""

    live = True
    ended = False
    fps: float | None = None
    total_frames: int | None = None
    shortfall = None

    def __init__(
        self,
        config: CameraConfig,
        open_grabber: Opener,
        clock: Clock,
        backoff: Callable[[], Backoff] = Backoff,
        stuck_after_s: float = STUCK_AFTER_S,
    ) -> None:
        self.name = config.name
        self._open_grabber, self._clock, self._make_backoff = open_grabber, clock, backoff
        self._least_gap_s = 1.0 / config.max_fps if config.max_fps else 0.0
        self._stuck_after_s = stuck_after_s
        self._lock = threading.Lock()
        self._wake: threading.Event | None = None
        self._newest: Frame | None = None
        self._problem = "not started"
        self._connected = False
        self._last_frame_s: float | None = None
        self._frames = self._dropped = self._connections = self._abandoned = 0
        self._worker: _Worker | None = None
        self._stuck: list[_Worker] = []
        self._closed = False

    @property
    def status(self) -> str:
        """online; stalled: connected, and no picture for a while; offline: not connected."""
        with self._lock:
            if not self._connected or self._last_frame_s is None:
                return "offline"
            waiting_s = self._clock.monotonic() - self._last_frame_s
            return "stalled" if waiting_s > STALLED_AFTER_S else "online"

    @property
    def problem(self) -> str:
        with self._lock:
            return self._problem

    @property
    def figures(self) -> Figures:
        with self._lock:
            return Figures(self._frames, self._dropped, max(0, self._connections - 1), self._abandoned)

    def start(self, wake: threading.Event | None = None) -> None:
        """Begin to capture. wake: set when a frame has come."""
        self._wake = wake or self._wake
        if self._worker is None and not self._closed:
            self._worker = _Worker(self, self._make_backoff())

    def read(self) -> Frame | None:
        """The newest frame not yet read, or None."""
        self.start()
        self._watch()
        with self._lock:
            frame, self._newest = self._newest, None
        return frame

    def close(self) -> None:
        """Stop capturing; a stuck driver is left behind after half a second."""
        self._closed = True
        if self._worker is not None:
            self._worker.stop()
            self._worker.thread.join(CLOSE_WAIT_S)

    def _watch(self) -> None:
        worker, now_s = self._worker, self._clock.monotonic()
        if worker is None or now_s - worker.alive_s < self._stuck_after_s:
            return
        self._stuck = [stuck for stuck in self._stuck if stuck.thread.is_alive()]
        if len(self._stuck) >= MOST_ABANDONED:
            return
        worker.stop()
        self._stuck.append(worker)
        with self._lock:
            self._abandoned += 1
            self._connected, self._problem = False, "the camera's driver is stuck; the connection is made anew"
        self._worker = _Worker(self, self._make_backoff())

    # --- called by the capture thread

    def connect(self) -> Grabber:
        return self._open_grabber()

    def now_s(self) -> float:
        return self._clock.monotonic()

    def connected(self) -> None:
        with self._lock:
            self._connections += 1
            self._connected, self._problem = True, ""

    def lost(self, problem: str) -> None:
        with self._lock:
            self._connected, self._problem = False, problem
            self._newest = None  # by the time the camera is back it would be an old picture

    def wants_picture(self, at_s: float) -> bool:
        with self._lock:
            return self._last_frame_s is None or at_s - self._last_frame_s >= self._least_gap_s * 0.95

    def deliver(self, at_s: float, bgr: U8) -> None:
        with self._lock:
            self._dropped += self._newest is not None
            self._newest = Frame(self.name, self._frames, at_s, self._clock.utc(), bgr)
            self._frames += 1
            self._last_frame_s = at_s
        if self._wake is not None:
            self._wake.set()


class _Worker:
    """One capture thread. After `stop` it delivers nothing more."""

    def __init__(self, source: LiveSource, backoff: Backoff) -> None:
        self._source, self._backoff = source, backoff
        self._stopped = threading.Event()
        self.alive_s = source.now_s()
        self.thread = threading.Thread(target=self._run, name=f"capture-{source.name}", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.alive_s = self._source.now_s()
            began_s = self.alive_s
            problem = self._connection()
            if self._stopped.is_set():
                return
            self._source.lost(problem)
            if self._source.now_s() - began_s > STEADY_AFTER_S:
                self._backoff.reset()
            self._pause(self._backoff.next_s())

    def _pause(self, pause_s: float) -> None:
        until_s = self._source.now_s() + pause_s
        while not self._stopped.is_set() and (left_s := until_s - self._source.now_s()) > 0:
            self.alive_s = self._source.now_s()
            self._stopped.wait(min(left_s, 0.5))

    def _connection(self) -> str:
        """From opening to the end of one connection; says why it ended."""
        grabber: Grabber | None = None
        try:
            grabber = self._source.connect()
            if self._stopped.is_set():
                return ""
            self._source.connected()
            return self._capture(grabber)
        except CameraError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever a driver throws, the camera is tried again
            return f"the camera failed: {type(error).__name__}"  # the text may hold the address and its account
        finally:
            if grabber is not None:
                with contextlib.suppress(Exception):
                    grabber.close()

    def _capture(self, grabber: Grabber) -> str:
        bad = 0
        while not self._stopped.is_set():
            if not grabber.grab():
                return "the stream ended or the camera is gone; it is tried again"
            self.alive_s = at_s = self._source.now_s()
            if not self._source.wants_picture(at_s):
                continue
            try:
                bgr = grabber.retrieve()
            except cv2.error:
                bgr = None
            bad = bad + 1 if bgr is None else 0
            if bgr is not None and not self._stopped.is_set():
                self._source.deliver(at_s, bgr)
            if bad >= BAD_PICTURES_MOST:
                return f"{bad} pictures in a row could not be decoded; the connection is made anew"
        return ""
