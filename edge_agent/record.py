"""High-confidence detections become files: the best picture of a visit, within a rate, a quota and what privacy allows.

With `record.uncertain` what is less certain, or could not be judged at all, does so too.

    store = SnapshotStore(root, config.record, config.privacy, labels, clock)
    store.offer(frame, verdicts, events, seen)      each frame; never waits, never raises
    store.note(events)                        visits that end without a frame
    store.saved, store.failed, store.dropped  counters        store.problem   why nothing is saved now, or ""
    store.picture_of(visit) -> JPEG or None    store.close()   waits for the writer

Layout: <root>/<YYYY-MM-DD>/<HHMMSS.mmm>-<camera>-<visit>-<label>.jpg and .json. The JSON comes last: a picture
without it is half a pair, and removed at the next start. Writing has its own thread; the loop only keeps the best
picture of each visit so far: in `crop` the crop, in `full` and `blurred` whole pictures of WHOLE_MOST visits at most.
"""

from __future__ import annotations

import builtins
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.clock import Clock, SystemClock
from edge_agent.config import PrivacyConfig, RecordConfig
from edge_agent.privacy import shown
from edge_agent.records import CANNOT_TELL, U8, Box, Event, Frame, Verdict
from edge_agent.snapshot_writer import Job, SnapshotWriter

CROPS_MOST = 64
WHOLE_MOST = 8  # whole pictures in memory: 2.8 MB each at 1280x720
BETTER_BY = 1.05  # a view must be so much better to replace the best one: copies cost
MINUTE_S = 60.0


@dataclass(slots=True)
class _Candidate:
    """The best view of one visit under one label so far."""

    score: float
    picture: U8
    about: dict[str, object]
    utc_s: float
    camera: str
    box: Box
    faces: tuple[Box, ...]
    since_s: float


class SnapshotStore:
    """The saved pictures of one agent, all cameras."""

    def __init__(
        self,
        root: Path,
        config: RecordConfig,
        privacy: PrivacyConfig,
        labels: Sequence[str],
        clock: Clock | None = None,
    ) -> None:
        self._config, self._privacy, self._labels = config, privacy, tuple(labels)
        self._clock = clock or SystemClock()
        self._best: dict[tuple[str, str], _Candidate] = {}
        self._done: dict[str, set[str]] = {}
        self._recent_s: deque[float] = deque()
        self.enabled = config.enabled and privacy.pictures != "none" and config.quota_bytes > 0
        self._writer = SnapshotWriter(root, config, self._clock) if self.enabled else None

    @property
    def saved(self) -> int:
        return self._writer.saved if self._writer else 0

    @property
    def failed(self) -> int:
        return self._writer.failed if self._writer else 0

    @property
    def dropped(self) -> int:
        """Pictures not saved: over the rate, or the disk was too slow."""
        return self._over_rate + (self._writer.dropped if self._writer else 0)

    @property
    def problem(self) -> str:
        return self._writer.problem if self._writer else ""

    @property
    def bytes(self) -> int:
        return self._writer.bytes if self._writer else 0

    _over_rate = 0

    def picture_of(self, visit: str) -> builtins.bytes | None:
        """The newest saved picture of a visit, as JPEG; None where none is saved any more."""
        names = [f"{visit}-{label}" for label in (*self._labels, CANNOT_TELL)]
        saved = self._writer.find(names) if self._writer else None
        if saved is not None:
            with contextlib.suppress(OSError):  # the quota may take it at this very moment
                return saved.path.read_bytes()
        return None

    def offer(
        self, frame: Frame, verdicts: Sequence[Verdict], events: Sequence[Event], seen: Sequence[Box] = ()
    ) -> None:
        """Keep the best views; hand to the writer what is complete.

        seen: every box found in this frame, also those that belong to no verdict: none stays clear in `blurred`,
        nor beside the face of a `crop`.
        """
        if not self.enabled:
            return
        faces = tuple(verdict.box for verdict in verdicts)
        for verdict in verdicts:
            self._consider(frame, verdict, faces, seen)
        self.note(events)
        for key, best in list(self._best.items()):
            if best.camera == frame.camera and frame.at_s - best.since_s >= self._config.best_within_s:
                self._save(key)

    def take_labels(self, labels: Sequence[str]) -> None:
        """Of another classifier, once the visits under the old one have ended."""
        self._labels = tuple(labels)

    def note(self, events: Sequence[Event]) -> None:
        """Save the best pictures of visits that ended, also of those that ended without a frame: by a pause, a stop."""
        for event in events:
            if event.type != "end":
                continue
            if event.counted_as != CANNOT_TELL:  # a moment of doubt within a visit that was judged
                self._best.pop((event.visit, CANNOT_TELL), None)
            for key in [key for key in self._best if key[0] == event.visit]:
                self._save(key)
            self._done.pop(event.visit, None)

    def close(self, wait_s: float = 1.5) -> None:
        """Wait for the writer."""
        if self._writer:
            self._writer.close(wait_s)

    def _consider(self, frame: Frame, verdict: Verdict, faces: tuple[Box, ...], seen: Sequence[Box]) -> None:
        if not verdict.visit or verdict.static or verdict.quality <= 0:
            return
        judged = verdict.label != CANNOT_TELL
        probability = verdict.probabilities[self._labels.index(verdict.label)] if judged else 0.0
        if not self._config.uncertain and (not judged or probability < self._config.threshold):
            return
        if verdict.label in self._done.get(verdict.visit, ()):
            return
        key, score = (verdict.visit, verdict.label), (probability if judged else 1.0) * verdict.quality
        best = self._best.get(key)
        if best is not None and score < best.score * BETTER_BY:
            return
        crop_only = self._privacy.pictures == "crop"
        known = (*faces, *seen)
        picture = shown(frame.bgr, known, self._privacy, verdict.box) if crop_only else frame.bgr
        if picture is None:
            return
        if best is None and len(self._best) >= (CROPS_MOST if crop_only else WHOLE_MOST):
            self._save(next(iter(self._best)))
        since_s = frame.at_s if best is None else best.since_s
        self._best[key] = _Candidate(
            score=score,
            picture=picture,
            about=self._about(frame, verdict),
            utc_s=frame.utc_s,
            camera=frame.camera,
            box=verdict.box,
            faces=known,
            since_s=since_s,
        )

    def _save(self, key: tuple[str, str]) -> None:
        candidate = self._best.pop(key)
        self._done.setdefault(key[0], set()).add(key[1])
        if not self._within_rate():
            self._over_rate += 1
            return
        picture: U8 | None = candidate.picture
        if self._privacy.pictures != "crop":
            picture = shown(candidate.picture, candidate.faces, self._privacy, candidate.box)
        if picture is not None and self._writer is not None:
            self._writer.put(Job(picture, candidate.about, candidate.utc_s, candidate.camera))

    def _within_rate(self) -> bool:
        now_s = self._clock.monotonic()
        while self._recent_s and now_s - self._recent_s[0] >= MINUTE_S:
            self._recent_s.popleft()
        if len(self._recent_s) >= self._config.max_per_minute:
            return False
        self._recent_s.append(now_s)
        return True

    def _about(self, frame: Frame, verdict: Verdict) -> dict[str, object]:
        """The JSON beside a picture. The box is in pixels of the camera's picture, whatever part of it is saved."""
        return {
            "schema": 1,
            "camera": frame.camera,
            "visit": verdict.visit,
            "label": verdict.label,
            "probabilities": {n: round(p, 4) for n, p in zip(self._labels, verdict.probabilities, strict=True)},
            "box": list(verdict.box.rounded()),
            "picture_px": [frame.bgr.shape[1], frame.bgr.shape[0]],
            "zone": verdict.zone,
            "frame": frame.index,
            "at_s": round(frame.at_s, 3),
            "pictures": self._privacy.pictures,
        }
