"""People over time become verdicts and events: one visit, one id, one label it counts for.

    decider = Decider(config.decide, labels, camera="door", zones=config.camera[0].zones, run_id="1f3a")
    decider.update(at_s, utc_s, tracks, picture_px=(1280, 720)) -> list[Event]     each frame, after the tracker
    decider.finish(at_s, utc_s) -> list[Event]                                     ends what is open
    decider.verdicts() -> list[Verdict]       who is in view, for the page and for saved pictures
    decider.in_view() -> {label: n}           visitors in view now
    decider.ended -> {label: n}               counters of ended visits: never go down
    decider.totals() -> {label: n}            ended and open visits together
    Labels are the model's and `cannot_tell`.

A verdict rests on the mean of the calibrated probabilities of all views, weighed by size, sharpness, pose and time; old
views fade as new ones come. A change must hold for `change_after_s`; a label is not given up for a moment of doubt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from edge_agent.config import DecideConfig, ZoneConfig
from edge_agent.records import CANNOT_TELL, Box, Event, Track, Verdict
from edge_agent.visit import Visit
from edge_agent.zones import zone_of

STATIC_PLACES_MOST = 50
STATIC_PLACE_IOU = 0.5


class Decider:
    """The visits of one camera."""

    def __init__(
        self,
        config: DecideConfig,
        labels: Sequence[str],
        camera: str = "camera",
        zones: Sequence[ZoneConfig] = (),
        run_id: str = "",
        threshold: float | None = None,
    ) -> None:
        """run_id: goes into each visit's id, so that ids of two starts differ.

        threshold: the model's own; `config.certain` goes before it.
        """
        self._config, self._labels, self._camera, self._zones = config, tuple(labels), camera, tuple(zones)
        self._prefix = f"{run_id}-{camera}" if run_id else camera
        self._certain = next((t for t in (config.certain, threshold) if t is not None), 0.6)
        self._open: dict[int, Visit] = {}
        self._visits = 0
        self._static_places: list[Box] = []
        self.ended: Counter[str] = Counter()

    def update(
        self, at_s: float, utc_s: float, tracks: Sequence[Track], picture_px: tuple[int, int] | None = None
    ) -> list[Event]:
        """What happened to whom. picture_px: width and height, needed for zones."""
        events: list[Event] = []
        present = {track.id for track in tracks}
        for track_id in [known for known in self._open if known not in present]:
            events += self._end(self._open.pop(track_id), at_s, utc_s)
        for track in tracks:
            visit = self._open.get(track.id)
            if visit is None:
                visit = self._open[track.id] = Visit(track, self._labels, self._config, self._certain)
                visit.at_static_place = self._is_static_place(track.box)
            visit.see(at_s, track, zone_of(track.box, self._zones, picture_px))
            events += self._judge(visit, at_s, utc_s)
        return events

    def set_threshold(self, threshold: float) -> None:
        """Judge visits that begin from now on with another threshold."""
        self._certain = threshold

    def finish(self, at_s: float, utc_s: float) -> list[Event]:
        """End all visits: the source has ended, or the agent stops."""
        events = [event for visit in self._open.values() for event in self._end(visit, at_s, utc_s)]
        self._open = {}
        return events

    def verdicts(self) -> list[Verdict]:
        """Everybody the tracker knows; `visit` is empty for who is not announced (yet)."""
        return [
            Verdict(
                visit=visit.id,
                track=visit.track.id,
                label=visit.label if visit.id else CANNOT_TELL,
                probabilities=visit.probabilities,
                box=visit.track.box,
                visible=visit.track.visible,
                quality=visit.quality,
                zone=visit.zone,
                static=visit.static,
                first_seen_s=visit.track.first_seen_s,
            )
            for visit in self._open.values()
        ]

    def in_view(self) -> dict[str, int]:
        """Visitors in view now, by label, each label named."""
        seen = Counter(v.label for v in self._open.values() if v.id and v.track.visible and not v.static)
        return {label: seen[label] for label in (*self._labels, CANNOT_TELL)}

    def totals(self) -> dict[str, int]:
        """Visits so far, ended and open, by the label each counts for, each label named."""
        counted = self.ended + Counter(v.counted_as for v in self._open.values() if v.id and v.counted_as)
        return {label: counted[label] for label in (*self._labels, CANNOT_TELL)}

    def _judge(self, visit: Visit, at_s: float, utc_s: float) -> list[Event]:
        """Announce a visit, or its change."""
        if not visit.id:
            if visit.at_static_place and not visit.moved_from_start:
                return []
            if not visit.is_convincing or not (visit.is_judged or visit.age_s >= self._config.judge_within_s):
                return []
            return [self._announce(visit, at_s, utc_s)]
        before = visit.label
        became_static = visit.track.still_s >= self._config.static_after_s
        changed = visit.reconsider(at_s)
        if became_static != visit.static:
            visit.static, changed = became_static, True
            if became_static:
                self._static_places = [*self._static_places, visit.track.box][-STATIC_PLACES_MOST:]
        return [self._event("update", visit, before, at_s, utc_s)] if changed else []

    def _announce(self, visit: Visit, at_s: float, utc_s: float) -> Event:
        self._visits += 1
        visit.id = f"{self._prefix}-{self._visits}"
        visit.label = visit.opinion
        return self._event("new", visit, None, at_s, utc_s)

    def _end(self, visit: Visit, at_s: float, utc_s: float) -> list[Event]:
        """The end; a visit too short to be judged while it lasted is announced first, if it was one."""
        events = []
        if not visit.id:
            if not visit.is_convincing or visit.at_static_place:
                return []
            events.append(self._announce(visit, at_s, utc_s))
        if visit.counted_as is not None:
            self.ended[visit.counted_as] += 1
        return [*events, self._event("end", visit, visit.label, at_s, utc_s)]

    def _is_static_place(self, box: Box) -> bool:
        return any(place.iou(box) > STATIC_PLACE_IOU for place in self._static_places)

    def _event(
        self, kind: Literal["new", "update", "end"], visit: Visit, before: str | None, at_s: float, utc_s: float
    ) -> Event:
        track = visit.track
        return Event(
            type=kind,
            visit=visit.id,
            camera=self._camera,
            track=track.id,
            before=before,
            after=visit.label,
            counted_as=visit.counted_as,
            probabilities=visit.probabilities,
            box=visit.seen_box,
            zone=visit.zone,
            static=visit.static,
            frames=visit.frames,
            at_s=at_s,
            utc_s=utc_s,
            first_seen_utc_s=utc_s - (at_s - track.first_seen_s),
            last_seen_utc_s=utc_s - (at_s - track.last_seen_s),
            duration_s=track.last_seen_s - track.first_seen_s,
        )
