"""What the page may show: fed by the camera loop through assignments, read by the web thread.

The loop never waits for a viewer: `show` stores one reference, `note_event` appends to a bounded ring, and whatever
costs time (scaling, JPEG, JSON, SQLite) happens in the web server's own threads, and only while somebody looks.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.health import HealthReport
from edge_agent.records import CANNOT_TELL, U8, Box

Json = dict[str, Any]
RING_EVENTS = 500


@dataclass(frozen=True, slots=True)
class TrackView:
    """One person in view. `label` is the likeliest class; `certain` says whether it would be counted.

    probabilities: calibrated, in the order of the labels; () while the face has not been read.
    seen: false where the tracker only expects the person there (the box is its guess).
    visitor: false for a poster, and for a face that was seen too briefly to be announced.
    """

    id: int
    box: Box
    score: float
    probabilities: tuple[float, ...]
    label: str
    certain: bool
    seen: bool = True
    visitor: bool = True

    def to_json(self, labels: Sequence[str]) -> Json:
        return {
            "id": self.id,
            "box": list(self.box.rounded()),
            "score": round(self.score, 4),
            "label": self.label,
            "certain": self.certain,
            "seen": self.seen,
            "visitor": self.visitor,
            "probabilities": {k: round(p, 4) for k, p in zip(labels, self.probabilities, strict=False)},
        }


@dataclass(frozen=True, slots=True)
class CameraView:
    """One camera now. `bgr` is a reference, uint8 (height, width, 3), that nobody writes into any more, or None.

    status: online | stalled | frozen | dark | covered | moved | offline; `reason` says in words why it is not online.
    utc_s: when the picture was taken; index: the frame's number, which tells a new picture from an old one.
    progress: 0 to 1 through a file; None for a live source.
    faces: every other box known in this picture, of people counted and not; they matter where faces are blurred.
    """

    name: str
    status: str
    reason: str | None = None
    bgr: U8 | None = None
    index: int = -1
    utc_s: float = 0.0
    fps: float = 0.0
    tracks: tuple[TrackView, ...] = ()
    progress: float | None = None
    faces: tuple[Box, ...] = ()

    def people(self, labels: Sequence[str]) -> dict[str, int]:
        """Visitors in view by label, as they go out over MQTT; those that cannot be told beside them."""
        counts = dict.fromkeys([*labels, CANNOT_TELL], 0)
        for track in self.tracks:
            if not (track.seen and track.visitor):
                continue
            counts[track.label if track.certain and track.label in counts else CANNOT_TELL] += 1
        return counts

    def to_json(self, labels: Sequence[str]) -> Json:
        size = None if self.bgr is None else [int(self.bgr.shape[1]), int(self.bgr.shape[0])]
        return {
            "name": self.name,
            "status": self.status,
            "reason": self.reason,
            "size": size,
            "frame": self.index,
            "at": self.utc_s,
            "fps": round(self.fps, 2),
            "progress": self.progress,
            "people": self.people(labels),
            "tracks": [track.to_json(labels) for track in self.tracks],
        }


def _well() -> HealthReport:
    return HealthReport("ok", True, (), {}, {}, 0.0)


@dataclass(frozen=True, slots=True)
class WebSources:
    """What the page asks of other stages, at most once a request; each is called from the web thread.

    health: `Health.report`. metrics: Prometheus text. model_info: both manifests, as {classifier:, detector:}.
    snapshot: JPEG of a visit's id, None where there is none (privacy was applied before it was written).
    redact: what of a picture may leave, given the boxes of its faces; None: nothing.
    predictor: makes an object for predictions, with `predict(bgr, name)` whose result has `to_json()`, for one thread;
    it follows reloads by itself.
    """

    health: Callable[[], HealthReport] = _well
    metrics: Callable[[], bytes] = lambda: b""
    model_info: Callable[[], Json] = dict
    snapshot: Callable[[str], bytes | None] = lambda _id: None
    redact: Callable[[U8, Sequence[Box]], U8 | None] = lambda bgr, _boxes: bgr
    predictor: Callable[[], Any] | None = None


class WebState:
    """The latest of everything. One writer (the loop), many readers; each field is replaced, never changed."""

    def __init__(self, labels: Sequence[str], *, device: str = "", version: str = "") -> None:
        self.labels = tuple(labels)
        self.device = device
        self.version = version
        self.stats: Json = {}
        self.summary: Json | None = None
        self._cameras: dict[str, CameraView] = {}
        self._events: deque[tuple[int, Json]] = deque(maxlen=RING_EVENTS)
        self._numbers = itertools.count(1)

    def show(self, view: CameraView) -> None:
        """The newest frame or status of a camera; called for each frame."""
        self._cameras = {**self._cameras, view.name: view}

    def note_event(self, event: Mapping[str, Any]) -> None:
        """An event as it leaves over MQTT: type new | update | end."""
        self._events.append((next(self._numbers), dict(event)))

    def note_stats(self, stats: Mapping[str, Any]) -> None:
        """The stats as they leave over MQTT, each stats interval."""
        self.stats = dict(stats)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The run is over: the page shows its statistics before the server stops."""
        self.summary = dict(summary)

    def camera(self, name: str | None = None) -> CameraView | None:
        """A camera by name; None: the first that was shown."""
        if name is None:
            return next(iter(self._cameras.values()), None)
        return self._cameras.get(name)

    @property
    def cameras(self) -> tuple[CameraView, ...]:
        return tuple(self._cameras.values())

    def events_after(self, number: int) -> list[tuple[int, Json]]:
        """Events that came after that number, oldest first, as far as the ring still holds them."""
        return [pair for pair in self._events.copy() if pair[0] > number]

    @property
    def last_event(self) -> int:
        """The number of the newest event; 0 before the first."""
        events = self._events
        try:
            return events[-1][0]
        except IndexError:
            return 0

    def now_json(self) -> Json:
        """People in view over all cameras, and each camera."""
        cameras = [view.to_json(self.labels) for view in self.cameras]
        totals = {key: sum(camera["people"][key] for camera in cameras) for key in (*self.labels, CANNOT_TELL)}
        return {"device": self.device, "version": self.version, "people": totals, "cameras": cameras}
