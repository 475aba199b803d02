"""Faces over time become people: through missed frames, occlusion and crossings.

    tracker = Tracker(config.track)
    tracker.update(at_s, readings) -> list[Track]   every frame, an empty list too; None: nobody looked at this frame
    tracker.clear()                                  another scene (motion.cut): everybody has left
    tracker.resized(scale_x, scale_y)                the camera changed its resolution

Each person has a box that moves on by its own speed; detections are given to boxes by the assignment of least cost
(distance in face sizes, difference in size, difference in what the classifier says). A person missed is kept for
`lost_after_s`; one who stood still when lost, for `return_within_s`. A second box on a tracked face begins nothing.
A sighting away from where a person is expected is in doubt until others follow it: a false box carries nobody off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from edge_agent.assign import FORBIDDEN, assign
from edge_agent.config import TrackConfig
from edge_agent.records import F32, Box, Reading, Track

REACH_SIDES = 0.7  # a detector's jitter and a head's start from rest
REACH_SIDES_PER_S = 2.0  # whose speed is known may change it
UNKNOWN_SIDES_PER_S = 6.0  # whose speed is not known yet may be a walker at 1.2 m/s with a face 0.2 m high
REACH_SIDES_MOST = 2.5
KNOWN_AFTER_HITS = 3
JUMP_SIDES = 0.5  # further from where one is expected than a known speed errs between two looks
RETURN_SIDES = 1.2  # how far from the place where one stood still
SETTLED_SIDES_PER_S = 0.6  # slower than this is standing still
SIZE_RATIO_MOST = 1.8
COAST_S = 1.5  # a lost person is thought to walk on for so long
SPEED_MEMORY_S = 0.25
STILL_SIDES = 0.12  # a poster's box jitters less, a living head's place over minutes more
STILL_MEMORY_S = 2.0
SECOND_BOX_SHARE = 0.6  # of the smaller box inside the other: the same head


@dataclass(frozen=True, slots=True)
class _Motion:
    """Where somebody was when last seen, and how they moved, pixels a second."""

    box: Box
    speed_x: float
    speed_y: float
    last_s: float

    def predicted(self, at_s: float) -> Box:
        """Where they are at a later moment, if they went on."""
        ahead_s = min(COAST_S, max(0.0, at_s - self.last_s))
        return Box(self.box.x + self.speed_x * ahead_s, self.box.y + self.speed_y * ahead_s, self.box.w, self.box.h)


@dataclass(slots=True)
class _Path:
    """One person, as the tracker thinks of them. before: how they moved before a sighting that is in doubt."""

    id: int
    motion: _Motion
    reading: Reading | None
    first_s: float
    hits: int = 1
    misses: int = 0
    before: _Motion | None = None
    hits_since: int = 0
    probabilities: tuple[float, ...] = ()
    still_since_s: float = 0.0
    still_at: Box = field(default_factory=lambda: Box(0, 0, 0, 0))
    smooth: Box = field(default_factory=lambda: Box(0, 0, 0, 0))

    @property
    def box(self) -> Box:
        return self.motion.box

    @property
    def last_s(self) -> float:
        return self.motion.last_s

    @property
    def side(self) -> float:
        return max(1.0, (self.box.w + self.box.h) / 2)

    def places(self, at_s: float) -> list[Box]:
        """Where to look: where the speed leads, and where it led before a sighting that is in doubt."""
        return [motion.predicted(at_s) for motion in (self.motion, self.before) if motion is not None]

    def go_back(self) -> None:
        """The sighting led to nothing: it was a false box beside one who looks away, or is hidden."""
        if self.before is not None:
            self.motion, self.before = self.before, None

    @property
    def settled(self) -> bool:
        speed = math.hypot(self.motion.speed_x, self.motion.speed_y) / self.side
        return speed < SETTLED_SIDES_PER_S and self.last_s - self.first_s >= 1.0


class Tracker:
    """The people of one camera."""

    def __init__(self, config: TrackConfig) -> None:
        self._config = config
        self._paths: list[_Path] = []
        self._next_id = 1

    def update(self, at_s: float, readings: list[Reading] | None) -> list[Track]:
        """The people after a frame, those not visible for a moment too; who is no longer in the list has left.

        readings: None where nobody looked (the motion gate was shut): whoever was visible still is.
        """
        if readings is None:
            for path in self._paths:
                path.reading = None
                if path.misses == 0:
                    path.motion = replace(path.motion, last_s=max(path.last_s, at_s))
            return self._tracks(at_s)
        free = self._match(at_s, readings)
        self._paths = [path for path in self._paths if not self._has_left(path, at_s)]
        for reading in free:
            if reading.face.score >= self._config.new_score and not self._is_second_box(reading.face.box):
                self._begin(at_s, reading)
        return self._tracks(at_s)

    def clear(self) -> None:
        """Everybody has left: the next picture shows another scene."""
        self._paths = []

    def resized(self, scale_x: float, scale_y: float) -> None:
        """Follow a change of resolution."""
        for path in self._paths:
            path.before = None
            motion = path.motion
            path.motion = replace(
                motion,
                box=_scaled(motion.box, scale_x, scale_y),
                speed_x=motion.speed_x * scale_x,
                speed_y=motion.speed_y * scale_y,
            )
            path.still_at = _scaled(path.still_at, scale_x, scale_y)
            path.smooth = _scaled(path.smooth, scale_x, scale_y)

    def _match(self, at_s: float, readings: list[Reading]) -> list[Reading]:
        """Give readings to people; returns those that nobody takes."""
        pairs = assign(self._costs(at_s, readings))
        taken = {column for _, column in pairs}
        found = {row: readings[column] for row, column in pairs}
        for row, path in enumerate(self._paths):
            if row in found:
                _see(path, at_s, found[row])
            else:
                path.reading, path.misses = None, path.misses + 1
                if path.misses >= 2 and path.before and at_s - path.before.last_s <= self._keep_s(path):
                    path.go_back()
        return [reading for column, reading in enumerate(readings) if column not in taken]

    def _costs(self, at_s: float, readings: list[Reading]) -> F32:
        costs = np.full((len(self._paths), len(readings)), FORBIDDEN, np.float32)
        middles = [reading.face.box.centre for reading in readings]
        for row, path in enumerate(self._paths):
            reach = self._reach_sides(path, at_s)
            near_px = reach * path.side * (1 + SIZE_RATIO_MOST) / 2  # the mean side of two boxes is at most so much
            for place in path.places(at_s):
                x, y = place.centre
                for column, (middle_x, middle_y) in enumerate(middles):
                    if abs(middle_x - x) <= near_px and abs(middle_y - y) <= near_px:
                        cost = _cost(place, path, readings[column], reach)
                        costs[row, column] = min(costs[row, column], cost)
        return costs

    def _reach_sides(self, path: _Path, at_s: float) -> float:
        unseen_s = at_s - path.last_s
        if unseen_s > self._config.lost_after_s:
            return RETURN_SIDES
        per_s = REACH_SIDES_PER_S if path.hits >= KNOWN_AFTER_HITS else UNKNOWN_SIDES_PER_S
        return min(REACH_SIDES_MOST, REACH_SIDES + per_s * unseen_s)

    def _has_left(self, path: _Path, at_s: float) -> bool:
        # Twice: a slow heartbeat alone loses nobody
        return path.misses >= 2 and at_s - path.last_s > self._keep_s(path)

    def _keep_s(self, path: _Path) -> float:
        lost_after_s = self._config.lost_after_s
        return max(lost_after_s, self._config.return_within_s) if path.settled else lost_after_s

    def _is_second_box(self, box: Box) -> bool:
        return any(path.misses == 0 and _share(path.box, box) > SECOND_BOX_SHARE for path in self._paths)

    def _begin(self, at_s: float, reading: Reading) -> None:
        box = reading.face.box
        path = _Path(self._next_id, _Motion(box, 0.0, 0.0, at_s), reading, at_s, probabilities=reading.probabilities)
        path.still_since_s, path.still_at, path.smooth = at_s, box, box
        self._paths.append(path)
        self._next_id += 1

    def _tracks(self, at_s: float) -> list[Track]:
        return [
            Track(
                id=path.id,
                box=path.box if path.misses == 0 else path.motion.predicted(at_s),
                reading=path.reading,
                first_seen_s=path.first_s,
                last_seen_s=path.last_s,
                hits=path.hits,
                visible=path.misses == 0,
                still_s=path.last_s - path.still_since_s,
            )
            for path in self._paths
        ]


def _see(path: _Path, at_s: float, reading: Reading) -> None:
    """Take a reading: place, speed, stillness."""
    box = reading.face.box
    _doubt(path, at_s, box)
    old, elapsed_s = path.motion, at_s - path.last_s
    path.motion = _moved(old, at_s, box)
    share = min(1.0, max(elapsed_s, 0.0) / STILL_MEMORY_S)
    path.smooth = _between(path.smooth, box, share)
    if _sides_apart(path.smooth, path.still_at) > STILL_SIDES:
        path.still_at, path.still_since_s = path.smooth, at_s
    looks = zip(path.probabilities, reading.probabilities, strict=True)
    path.probabilities = tuple(0.7 * p + 0.3 * q for p, q in looks)
    path.reading, path.hits, path.misses = reading, path.hits + 1, 0


def _moved(old: _Motion, at_s: float, box: Box) -> _Motion:
    """The motion after a sighting; old speed fades with SPEED_MEMORY_S."""
    elapsed_s = at_s - old.last_s
    if elapsed_s <= 0:
        return replace(old, box=box, last_s=at_s)
    (x, y), (old_x, old_y) = box.centre, old.box.centre
    gain = min(1.0, elapsed_s / SPEED_MEMORY_S)
    speed_x = old.speed_x + gain * ((x - old_x) / elapsed_s - old.speed_x)
    speed_y = old.speed_y + gain * ((y - old_y) / elapsed_s - old.speed_y)
    return _Motion(box, speed_x, speed_y, at_s)


def _doubt(path: _Path, at_s: float, box: Box) -> None:
    """Remember the motion before a sighting that may be false, until the new place is seen again, or the old one is."""
    expected = path.motion.predicted(at_s)
    if path.before is None:
        if path.hits >= KNOWN_AFTER_HITS and _sides_apart(box, expected) > JUMP_SIDES:
            path.before, path.hits_since = path.motion, 0
        return
    if _sides_apart(box, path.before.predicted(at_s)) < _sides_apart(box, expected):
        path.go_back()
        return
    path.hits_since += 1
    if path.hits_since >= KNOWN_AFTER_HITS - 1:
        path.before = None


def _cost(place: Box, path: _Path, reading: Reading, reach_sides: float) -> float:
    box = reading.face.box
    side = max(1.0, (place.w + place.h + box.w + box.h) / 4)
    (x, y), (place_x, place_y) = box.centre, place.centre
    distance = math.hypot(x - place_x, y - place_y) / side
    ratio = max(1.0, box.w + box.h) / max(1.0, place.w + place.h)
    if distance > reach_sides or not 1 / SIZE_RATIO_MOST < ratio < SIZE_RATIO_MOST:
        return FORBIDDEN
    looks = sum(abs(p - q) for p, q in zip(path.probabilities, reading.probabilities, strict=True)) / 2
    return distance + 0.7 * abs(math.log(ratio)) + 0.3 * looks


def _share(a: Box, b: Box) -> float:
    """The part of the smaller box that lies inside the larger."""
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / max(1e-6, min(a.area, b.area))


def _between(a: Box, b: Box, share: float) -> Box:
    return Box(*(p + share * (q - p) for p, q in zip((a.x, a.y, a.w, a.h), (b.x, b.y, b.w, b.h), strict=True)))


def _sides_apart(a: Box, b: Box) -> float:
    side = max(1.0, (b.w + b.h) / 2)
    (x, y), (other_x, other_y) = a.centre, b.centre
    return max(math.hypot(x - other_x, y - other_y), abs(a.w - b.w), abs(a.h - b.h)) / side


def _scaled(box: Box, x: float, y: float) -> Box:
    return Box(box.x * x, box.y * y, box.w * x, box.h * y)
