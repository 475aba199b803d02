"""One person's visit: the evidence, the opinion it supports, the label that is held. Used by `decide` alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from edge_agent.config import DecideConfig
from edge_agent.quality import weight
from edge_agent.records import CANNOT_TELL, Track

VIEW_S_MOST = 0.2  # what one view is worth at most: at 5 frames a second or slower each counts alike
FIRST_VIEW_S = 0.04
HOLD_S_MOST = 1.0
GIVE_UP_BELOW = 0.15  # a label is kept until its probability falls so far under what is certain
EXISTS_SHARE = 0.5  # of the evidence that a verdict needs, for being counted at all
MOVED_SHARE = 0.5  # of its own size away from where it was first seen


class Visit:
    """Mutable, inside the decider. `id` is empty until the visit is announced."""

    def __init__(self, track: Track, labels: Sequence[str], config: DecideConfig, certain: float) -> None:
        self.id = ""
        self.track = track
        self.seen_box = track.box
        self.label = CANNOT_TELL
        self.static = False
        self.at_static_place = False
        self.quality = 0.0
        self.frames = 0
        self._labels, self._config, self._certain = tuple(labels), config, certain
        self._start = track.box
        self._sums = [0.0] * len(self._labels)
        self._totals = [0.0] * len(self._labels)
        self._evidence_s = self._seen_s = 0.0
        self._last_view_s: float | None = None
        self._first_counted_s = track.first_seen_s
        self._at_s = track.first_seen_s
        self._wish: tuple[str, float] | None = None
        self._held_s: defaultdict[str, float] = defaultdict(float)
        self._zone_s: defaultdict[str | None, float] = defaultdict(float)

    def see(self, at_s: float, track: Track, zone: str | None) -> None:
        """Take what a frame says: a view of the face, or that there was none."""
        elapsed_s, self._at_s = min(HOLD_S_MOST, max(0.0, at_s - self._at_s)), at_s
        self.track, self.quality = track, 0.0
        if track.visible:
            self.seen_box = track.box
            self._held_s[self.label if self.id else self.opinion] += elapsed_s
            self._zone_s[zone] += elapsed_s if elapsed_s > 0 else 1e-6
        if track.reading is None:
            return
        self.quality = weight(track.reading, self._config.min_face_px)
        if self.quality <= 0:
            return
        if self.frames == 0:
            self._first_counted_s = at_s
        self.frames += 1
        since_s = FIRST_VIEW_S if self._last_view_s is None else at_s - self._last_view_s
        self._last_view_s = at_s
        gain_s = self.quality * min(VIEW_S_MOST, max(0.0, since_s))
        keep = math.exp(-gain_s / self._config.memory_s)
        self._sums = [keep * s + gain_s * p for s, p in zip(self._sums, track.reading.probabilities, strict=True)]
        self._evidence_s = keep * self._evidence_s + gain_s
        self._seen_s += gain_s
        self._totals = [t + gain_s * p for t, p in zip(self._totals, track.reading.probabilities, strict=True)]

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The weighed mean over the views, in the order of the labels; equal shares before the first."""
        total = sum(self._sums)
        return tuple(s / total if total > 0 else 1 / len(self._sums) for s in self._sums)

    @property
    def opinion(self) -> str:
        """The label that the evidence supports now."""
        probabilities = self.probabilities
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        if self._evidence_s < self._config.min_evidence_s or probabilities[best] < self._certain:
            return CANNOT_TELL
        return self._labels[best]

    @property
    def is_judged(self) -> bool:
        return self.opinion != CANNOT_TELL

    @property
    def is_convincing(self) -> bool:
        """Whether this is a visit at all: seen often enough, for long enough, and well enough to be a face."""
        return (
            self.frames >= self._config.min_hits
            and self._seen_s >= EXISTS_SHARE * self._config.min_evidence_s
            and self.track.last_seen_s - self._first_counted_s >= self._config.min_seen_s
        )

    @property
    def age_s(self) -> float:
        return self._at_s - self._first_counted_s if self.frames else 0.0

    @property
    def moved_from_start(self) -> bool:
        (x, y), (start_x, start_y) = self.track.box.centre, self._start.centre
        return math.hypot(x - start_x, y - start_y) > MOVED_SHARE * max(self._start.w, self._start.h)

    @property
    def counted_as(self) -> str | None:
        """Of the labels held, the one with most evidence; `cannot_tell` where there was none; None for a poster."""
        if self.static or (self.at_static_place and not self.moved_from_start and not self.id):
            return None
        judged = [label for label in self._labels if self._held_s[label] > 0]
        if judged:
            return max(judged, key=lambda label: self._totals[self._labels.index(label)])
        return self.label

    @property
    def zone(self) -> str | None:
        """Where the visit spent most of its time."""
        return max(self._zone_s, key=self._zone_s.__getitem__, default=None)

    def reconsider(self, at_s: float) -> bool:
        """Change the label if the evidence has asked for it long enough; whether it changed."""
        wish = self.opinion
        if wish == CANNOT_TELL and self.label != CANNOT_TELL:
            held = self.probabilities[self._labels.index(self.label)]
            if held >= self._certain - GIVE_UP_BELOW:
                wish = self.label
        if wish == self.label:
            self._wish = None
            return False
        if self._wish is None or self._wish[0] != wish:
            self._wish = (wish, at_s)
        wait_s = 0.0 if self.label == CANNOT_TELL else self._config.change_after_s
        if at_s - self._wish[1] < wait_s:
            return False
        self.label, self._wish = wish, None
        return True
