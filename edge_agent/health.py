"""Health that is true: what the loop says of itself, judged by the clock.

The loop feeds it:
    health.tick()                           once a turn of the loop, also while no camera gives a picture
    health.frame("hall")                    a frame went through all stages
    health.camera_status("hall", "stalled", "no picture for 12 s")
    health.end_camera("hall")               a clip or folder that is over
    health.declare("disk", "no space left; pictures are not saved")     None as reason clears it
HTTP and the reporter read `health.report()`; systemd's watchdog asks `health.alive()`.

ok: all is well. degraded: people are counted, something else is wrong (broker, disk, clock); HTTP answers 200.
failing: people are not counted (a camera gives no usable picture, the loop hangs); HTTP answers 503.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

LOOP_STALLS_AFTER_S = 15.0
FRAMES_STALL_AFTER_S = 30.0
COUNTS_PEOPLE = frozenset({"online", "moved"})  # a moved camera still counts, perhaps not where it should

State = Literal["ok", "degraded", "failing"]


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What /health answers. ready: the first frame was processed, or a degraded state was declared."""

    state: State
    ready: bool
    reasons: tuple[str, ...]
    cameras: dict[str, str]
    last_frame_age_s: dict[str, float]
    uptime_s: float

    @property
    def http_status(self) -> int:
        return 503 if self.state == "failing" else 200

    @property
    def words(self) -> str:
        """One line, for systemd's STATUS."""
        if not self.ready:
            return "; ".join(["starting: no frame yet", *self.reasons])
        cameras = ", ".join(f"{name} {status}" for name, status in sorted(self.cameras.items()))
        return f"{self.state}: {'; '.join(self.reasons) or cameras or 'frames come'}"


class Health:
    """Thread-safe; the loop writes, HTTP and others read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._started_at = self._tick_at = clock()
        self._ticked = False
        self._paused: frozenset[str] = frozenset()
        self._finished = False
        self._ended: set[str] = set()
        self._status: dict[str, tuple[str, str]] = {}
        self._frame_at: dict[str, float] = {}
        self._declared: dict[str, tuple[str, State]] = {}

    def tick(self) -> None:
        """The loop turned."""
        self._tick_at = self._clock()
        self._ticked = True

    def frame(self, camera: str) -> None:
        """A frame of this camera went through all stages, or was seen and found still."""
        self._ended.discard(camera)  # a reload plays it again
        self._frame_at[camera] = self._tick_at = self._clock()
        self._ticked = True

    def camera_status(self, camera: str, status: str, reason: str = "") -> None:
        """What liveness says; a status other than online is a stall that is declared and being handled."""
        with self._lock:
            self._status[camera] = (status, reason)

    def forget_camera(self, camera: str) -> None:
        """The camera is no longer in the configuration."""
        with self._lock:
            self._status.pop(camera, None)
            self._frame_at.pop(camera, None)
            self._ended.discard(camera)

    def end_camera(self, camera: str) -> None:
        """A clip or folder came to its end: no frame of it is expected any more, and nothing is wrong with that."""
        self._ended.add(camera)

    def declare(self, name: str, reason: str | None, state: State = "degraded") -> None:
        """Something else is wrong, in words; None: it is over."""
        with self._lock:
            if reason is None:
                self._declared.pop(name, None)
            else:
                self._declared[name] = (reason, state)

    def pause(self, cameras: Iterable[str]) -> None:
        """Somebody asked the agent not to look at these: no frame of theirs is expected."""
        self._paused = frozenset(cameras)

    def finish(self) -> None:
        """All sources came to their end: no frame is expected any more."""
        self._finished = True

    def alive(self) -> bool:
        """Whether the loop turns, and frames progress or their absence is declared."""
        return self._loop_reason() is None and not self._silent_cameras()

    def report(self) -> HealthReport:
        with self._lock:
            status, declared = dict(self._status), dict(self._declared)
        now = self._clock()
        failing = [
            f"camera {name} is {word}{': ' if reason else ''}{reason}"
            for name, (word, reason) in sorted(status.items())
            if word not in COUNTS_PEOPLE and name not in self._ended
        ]
        failing += [f"camera {name} gives no frames and does not say why" for name in self._silent_cameras()]
        failing += [loop for loop in [self._loop_reason()] if loop]
        degraded = [f"camera {name} has moved" for name, (word, _) in sorted(status.items()) if word == "moved"]
        for reason, grade in declared.values():
            (failing if grade == "failing" else degraded).append(reason)
        degraded += [f"camera {name} is paused by command" for name in sorted(self._paused)]
        state: State = "failing" if failing else "degraded" if degraded else "ok"
        ready = bool(self._frame_at) or bool(status and any(word != "online" for word, _ in status.values()))
        ages = {name: round(now - at, 3) for name, at in list(self._frame_at.items())}
        cameras = {name: word for name, (word, _) in status.items()}
        return HealthReport(state, ready, tuple(failing + degraded), cameras, ages, round(now - self._started_at, 3))

    def _loop_reason(self) -> str | None:
        age = self._clock() - self._tick_at
        if self._finished or age <= LOOP_STALLS_AFTER_S or not self._ticked:
            return None
        return f"the loop has not turned for {age:.0f} s"

    def _silent_cameras(self) -> list[str]:
        """Cameras that are said to be online, or say nothing, and have given no frame for long."""
        if self._finished or not self._ticked:
            return []
        now = self._clock()
        silent = []
        for name in sorted({*self._status, *self._frame_at} - self._paused - self._ended):
            word = self._status.get(name, ("online", ""))[0]
            since = self._frame_at.get(name, self._started_at)
            if word == "online" and now - since > FRAMES_STALL_AFTER_S:
                silent.append(name)
        return silent
