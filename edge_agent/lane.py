"""What belongs to one camera: its source, and the stages that remember something between its frames."""

from __future__ import annotations

from collections import deque
from typing import Any

from edge_agent.camera import Source, open_source
from edge_agent.clock import Clock, SystemClock
from edge_agent.config import CameraConfig, Config
from edge_agent.decide import Decider
from edge_agent.liveness import Liveness
from edge_agent.motion import MotionGate
from edge_agent.predictor import FaceMaskPredictor
from edge_agent.records import CANNOT_TELL, Box, Event, Frame, Reading, Verdict
from edge_agent.redact import redact_addresses
from edge_agent.track import Tracker
from edge_agent.web.state import CameraView, TrackView

FPS_OVER_FRAMES = 30
SLOWER_THAN_USUAL = 3  # a gap in a recording; the pictures of a timelapse are all far apart
ENDED = "the clip or folder has ended"
REASONS = {
    "frozen": "the picture has been the same to the last bit; restart the camera",
    "dark": "next to no light reaches the camera",
    "covered": "the picture has no detail; something covers the lens, or it is out of focus",
    "moved": "the camera looks somewhere else than before",
    "stalled": "no new picture comes",
    "offline": "the camera gives no picture; it is tried again",
}


class Lane:
    """One camera's way through the agent. Opening it raises what `open_source` raises."""

    def __init__(
        self,
        camera: CameraConfig,
        config: Config,
        predictor: FaceMaskPredictor,
        run_id: str = "",
        clock: Clock | None = None,
    ) -> None:
        """run_id: goes into the ids of visits, so that those of two starts differ."""
        clock = clock or SystemClock()
        self.name = camera.name
        self.camera = camera
        self.address = redact_addresses(camera.source)
        self.source: Source = open_source(camera, clock)
        self.frames = 0
        self.last_at_s = self._interval_s = 0.0
        self.size_px: tuple[int, int] | None = None
        self.has_ended = False  # a clip or folder that nobody follows any more
        self.status, self.reason = "", ""  # unknown until the first picture, or until none came for a while
        self.view = CameraView(self.name, "offline", "no picture has come yet")
        self._clock = clock
        self._opened_s = clock.monotonic()
        self._run_id = run_id
        self._starts = 0
        self._served_s: deque[float] = deque(maxlen=FPS_OVER_FRAMES)
        self._paused_until_s = float("-inf")
        self.configure(config, predictor)

    def configure(self, config: Config, predictor: FaceMaskPredictor) -> None:
        """Take a configuration and a model's labels; what the stages remembered is gone."""
        self._config, self.labels, self._threshold = config, predictor.labels, predictor.threshold
        self.liveness = Liveness(config.liveness)
        self.begin_anew()

    def go_on(self, config: Config, predictor: FaceMaskPredictor) -> None:
        """Take a configuration whose people are followed and judged as before: who is here stays here."""
        old, self._config, self._threshold = self._config, config, predictor.threshold
        if config.liveness != old.liveness:
            self.liveness = Liveness(config.liveness)
        if config.motion != old.motion:
            self.gate = MotionGate(config.motion)
        certain = predictor.threshold if config.decide.certain is None else config.decide.certain
        if certain is not None:
            self.decider.set_threshold(certain)  # a command's, if there was one, ends with a reload

    def begin_anew(self) -> None:
        """Forget who is here. Visits that follow have other ids than those before."""
        self._starts += 1
        start_id = f"{self._run_id}{self._starts}" if self._run_id else ""
        self.gate = MotionGate(self._config.motion)
        self.tracker = Tracker(self._config.track)
        self.decider = Decider(
            self._config.decide, self.labels, self.name, self.camera.zones, start_id, self._threshold
        )

    def set_threshold(self, threshold: float) -> None:
        """Judge from now on with another threshold; visits under way keep theirs."""
        self._threshold = threshold
        self.decider.set_threshold(threshold)

    def pause(self, for_s: float | None) -> None:
        """Stop looking for so long; None: until `resume`."""
        self._paused_until_s = float("inf") if for_s is None else self._clock.monotonic() + for_s

    def pause_as(self, other: Lane) -> None:
        """Take the pause of the lane that this one replaces."""
        self._paused_until_s = other._paused_until_s

    def resume(self) -> None:
        self._paused_until_s = float("-inf")

    @property
    def is_paused(self) -> bool:
        return self._clock.monotonic() < self._paused_until_s

    def follow_resolution(self, frame: Frame) -> None:
        """A camera may change its resolution: people stay who they are."""
        height, width = frame.bgr.shape[:2]
        if self.size_px is not None and self.size_px != (width, height):
            self.tracker.resized(width / self.size_px[0], height / self.size_px[1])
        self.size_px = (width, height)

    def judge_picture(self, frame: Frame | None) -> bool:
        """Look at the picture, or at its absence; whether the status, or the reason for it, changed."""
        at_s = self._clock.monotonic() if frame is None else frame.at_s
        if frame is None and not self.frames and at_s - self._opened_s < self._config.liveness.stalled_after_s:
            return False  # a camera may take a moment to connect
        status = self.liveness.observe(frame, at_s, self.source.status)
        reason = (self.source.problem or REASONS.get(status, "")) if status != "online" else ""
        changed = (status, reason) != (self.status, self.reason)
        self.status, self.reason = status, reason
        if changed:
            # Never this frame's picture: `show` gave it with its faces, or, in a pause, nobody looked for faces in it
            self.view = self._view(self.view.bgr, self.view.tracks)
        return changed

    def end(self) -> None:
        """Its clip or folder is over: no picture comes any more, and nobody is in view."""
        self.has_ended = True
        self.status, self.reason = "offline", ENDED
        self.view = self._view(self.view.bgr, (), faces=())

    def served(self, frame: Frame) -> None:
        """A frame went all the way."""
        self.frames += 1
        self.last_at_s = frame.at_s
        self._served_s.append(self._clock.monotonic())

    def show(self, frame: Frame, verdicts: list[Verdict], readings: list[Reading] | None) -> None:
        """Make the view of this moment: what the page may show."""
        faces = self.view.faces if readings is None else tuple(reading.face.box for reading in readings)
        tracks = tuple(self._track_view(verdict) for verdict in verdicts)
        self.view = self._view(frame.bgr, tracks, frame, faces)

    def miss_everybody(self, at_s: float, utc_s: float) -> list[Event]:
        """No picture comes: who was in view is not seen any more, and leaves like anybody who is missed."""
        events = self.decider.update(at_s, utc_s, self.tracker.update(at_s, []), self.size_px)
        tracks = tuple(self._track_view(verdict) for verdict in self.decider.verdicts())
        self.view = self._view(self.view.bgr, tracks)
        return events

    def follow_gap(self, frame: Frame) -> list[Event]:
        """A recording that goes on after a gap: in it everybody is missed, as before a camera that gives no picture."""
        since_s, usual_s = frame.at_s - self.last_at_s, self._interval_s
        self._interval_s = since_s if self.frames else 0.0
        patience_s = max(self._config.liveness.stalled_after_s, SLOWER_THAN_USUAL * usual_s)
        if self.source.live or not usual_s or since_s <= patience_s:
            return []
        # Twice: the tracker lets nobody go for one look
        return [event for _ in range(2) for event in self.miss_everybody(frame.at_s, frame.utc_s)]

    @property
    def fps(self) -> float:
        """Frames a second over the last frames."""
        if len(self._served_s) < 2:
            return 0.0
        return (len(self._served_s) - 1) / max(1e-6, self._served_s[-1] - self._served_s[0])

    @property
    def progress(self) -> float | None:
        """0 to 1 through a file; None for a live source or a file that does not say how long it is."""
        total = self.source.total_frames
        return min(1.0, (self.view.index + 1) / total) if total else None

    def figures(self) -> dict[str, Any]:
        """Counters of this camera since its start."""
        source, short = self.source.figures, self.source.shortfall
        return {
            "status": self.status or "offline",
            "frames": self.frames,
            "dropped": source.dropped,
            "stated": short.stated if short else self.source.total_frames,
            "missing": short.stated - short.came if short else 0,
            "reconnects": source.reconnects,
            "fps": round(self.fps, 2),
        }

    def _view(
        self, bgr: Any, tracks: tuple[TrackView, ...], frame: Frame | None = None, faces: tuple[Box, ...] | None = None
    ) -> CameraView:
        return CameraView(
            name=self.name,
            status=self.status or "online",
            reason=self.reason or None,
            bgr=bgr,
            index=self.view.index if frame is None else frame.index,
            utc_s=self.view.utc_s if frame is None else frame.utc_s,
            fps=self.fps,
            tracks=tracks,
            progress=self.progress,
            faces=self.view.faces if faces is None else faces,
        )

    def _track_view(self, verdict: Verdict) -> TrackView:
        label = verdict.label
        if label == CANNOT_TELL and verdict.probabilities:
            label = self.labels[max(range(len(self.labels)), key=verdict.probabilities.__getitem__)]
        return TrackView(
            id=verdict.track,
            box=verdict.box,
            score=verdict.quality,
            probabilities=verdict.probabilities,
            label=label,
            certain=verdict.label != CANNOT_TELL,
            seen=verdict.visible,
            visitor=bool(verdict.visit) and not verdict.static,
        )
