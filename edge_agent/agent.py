"""The loop. Each stage is one call; drawing, encoding, retrying live inside the stages."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_agent.camera import Rota
from edge_agent.clock import Clock, SystemClock
from edge_agent.compliance import CORRECT_LABEL, Compliance, Place
from edge_agent.config import Config
from edge_agent.health import Health
from edge_agent.lane import Lane
from edge_agent.messages import LoopFigures
from edge_agent.metrics import Metrics
from edge_agent.predictor import FaceMaskPredictor
from edge_agent.record import SnapshotStore
from edge_agent.records import CANNOT_TELL, Event, Frame, Reading
from edge_agent.report import Reporter
from edge_agent.systemd import Systemd
from edge_agent.timing import Stopwatch
from edge_agent.web.state import WebState

log = logging.getLogger(__name__)

WAIT_S = 0.2  # for a picture, before silence itself is looked at
HOUSEKEEPING_EVERY_S = 0.5
SILENT = frozenset({"stalled", "offline"})


@dataclass(slots=True)
class Parts:
    """What an agent is made of. `build.py` makes it from a configuration; a reload replaces some of it."""

    config: Config
    state_dir: Path
    run_id: str
    predictor: FaceMaskPredictor
    lanes: dict[str, Lane]
    recorder: SnapshotStore
    reporter: Reporter
    web: WebState
    health: Health
    metrics: Metrics
    systemd: Systemd


class Agent:
    """Watches its cameras until they end, or until `stop` is called from a signal handler or another thread.

    obey: called by the loop twice a second, carries out commands and reloads.
    """

    def __init__(self, parts: Parts, clock: Clock | None = None) -> None:
        self.parts = parts
        self.on_progress: Callable[[Lane], None] = lambda _lane: None
        self.obey: Callable[[], None] = lambda: None
        self._clock = clock or SystemClock()
        self._rota = Rota([lane.source for lane in parts.lanes.values()])
        self._stop = threading.Event()
        self.watch = Stopwatch(on_sample=parts.metrics.stage)
        self._started_s = self._clock.monotonic()
        self._housekeeping_due_s = self._started_s
        self._ended_visits: Counter[str] = Counter()
        self._compliance = Compliance()
        self._frames = self._faces = 0

    def stop(self) -> None:
        """Ask the loop to end after the frame in hand. Safe in a signal handler."""
        self._stop.set()

    def run(self) -> dict[str, Any]:
        """Watch until the end; the summary."""
        self._started_s = self._clock.monotonic()
        self._rota.start()
        try:
            while not self._stop.is_set() and not self._rota.ended:
                self._turn()
        finally:
            for lane in self.parts.lanes.values():
                self.end_visits(lane)
            self._rota.close()
            self.parts.recorder.close()
            self.parts.health.finish()
        self._publish_figures()
        figures = self.figures()
        self.parts.web.finish(figures)
        return figures

    def _turn(self) -> None:
        """One frame of one camera, all the way; then what is due by the clock."""
        started_s = time.perf_counter()
        found = self._rota.next(0.0)
        if found is not None:
            self.watch.add("decode", time.perf_counter() - started_s)
        else:
            found = self._rota.next(WAIT_S)
        if found is not None:
            source, frame = found
            lane = self.parts.lanes[source.name]
            if lane.is_paused:
                self._note_frame(lane, frame, "paused")
            else:
                self._look(lane, frame)
        self._watch_over()

    def _look(self, lane: Lane, frame: Frame) -> None:
        """A frame's way: motion, detect, crop, classify, track, decide, record, report."""
        started_s = time.perf_counter()
        lane.follow_resolution(frame)
        self._note_missed(lane.follow_gap(frame))
        with self.watch.stage("motion"):
            moved = lane.gate.moved(frame)
        if lane.gate.cut:
            lane.tracker.clear()
        readings = self._read(lane, frame) if moved else None
        with self.watch.stage("track"):
            tracks = lane.tracker.update(frame.at_s, readings)
        with self.watch.stage("decide"):
            events = lane.decider.update(frame.at_s, frame.utc_s, tracks, lane.size_px)
            verdicts = lane.decider.verdicts()
        with self.watch.stage("record"):
            seen = [reading.face.box for reading in readings or ()]
            self.parts.recorder.offer(frame, verdicts, events, seen)
        with self.watch.stage("report"):
            self._report(events)
            lane.show(frame, verdicts, readings)
            self.parts.web.show(lane.view)
        self._note_frame(lane, frame, "processed" if moved else "still")
        self.watch.add("frame", time.perf_counter() - started_s)
        self.on_progress(lane)

    def _read(self, lane: Lane, frame: Frame) -> list[Reading]:
        readings, latency_ms = self.parts.predictor.read(frame.bgr)
        for stage, milliseconds in latency_ms.items():
            self.watch.add(stage, milliseconds / 1e3)
        self._faces += len(readings)
        self.parts.metrics.faces.labels(lane.name).inc(len(readings))
        return readings

    def _report(self, events: list[Event]) -> None:
        for event in events:
            self._compliance.add(event, self._clock.monotonic())
            self.parts.web.note_event(self.parts.reporter.event(event))

    def _note_frame(self, lane: Lane, frame: Frame, outcome: str) -> None:
        self._judge_picture(lane, frame)
        lane.served(frame)
        self._frames += 1
        self.parts.health.frame(lane.name)
        self.parts.metrics.frames.labels(lane.name, outcome).inc()
        self.parts.metrics.last_frame.labels(lane.name).set(frame.utc_s)

    def _judge_picture(self, lane: Lane, frame: Frame | None) -> None:
        """Tell a live picture from a frozen, dark, covered or missing one; a change is said once."""
        before = lane.status
        if not lane.judge_picture(frame):
            return
        if lane.status != before:  # each attempt to connect may fail for another reason
            level = logging.INFO if lane.status == "online" else logging.WARNING
            log.log(level, "camera %s is %s%s", lane.name, lane.status, f": {lane.reason}" if lane.reason else "")
        self.parts.reporter.camera_status(lane.name, lane.status, lane.reason)
        if before in ("stalled", "offline") and lane.status == "online":
            self.parts.metrics.reconnects.labels(lane.name).inc()
        self.parts.web.show(lane.view)

    def _watch_over(self) -> None:
        """What does not hang on a frame: silence, stats, commands, the service manager."""
        self.parts.health.tick()
        now_s = self._clock.monotonic()
        if now_s < self._housekeeping_due_s:
            return
        self._housekeeping_due_s = now_s + HOUSEKEEPING_EVERY_S
        for lane in self.parts.lanes.values():
            if lane.source.live:
                self._judge_picture(lane, None)
                self._miss_people(lane)
            elif lane.source.ended and not lane.has_ended and not self._rota.ended:
                self._end(lane)
            self.parts.reporter.people(lane.name, lane.decider.in_view())
        problem = self.parts.recorder.problem
        self.parts.health.declare("record", f"pictures are not saved: {problem}" if problem else None)
        if self.parts.reporter.stats_due():
            self._publish_figures()
        self.parts.systemd.beat()
        self.obey()

    def _end(self, lane: Lane) -> None:
        """A clip or folder is over while others go on: its visits end now, and no picture of it is expected."""
        self.end_visits(lane)
        lane.end()
        log.info("camera %s: %s", lane.name, lane.reason)
        self.parts.health.end_camera(lane.name)
        self.parts.reporter.camera_status(lane.name, lane.status, lane.reason)
        self.parts.web.show(lane.view)

    def _miss_people(self, lane: Lane) -> None:
        """Nobody is in view of a camera that gives no picture."""
        if lane.status not in SILENT:
            return
        self._note_missed(lane.miss_everybody(self._clock.monotonic(), self._clock.utc()))
        self.parts.web.show(lane.view)

    def _note_missed(self, events: list[Event]) -> None:
        self.parts.recorder.note(events)
        self._report(events)

    def _publish_figures(self) -> None:
        paused = any(lane.is_paused for lane in self.parts.lanes.values())
        threshold = self.parts.predictor.threshold
        sent = self.parts.reporter.stats(LoopFigures(**self.figures()), paused=paused, threshold=threshold)
        self.parts.web.note_stats(sent)
        self._note_totals()

    def _note_totals(self) -> None:
        """Bring the metrics up to what cameras and recorder count by themselves."""
        metrics, recorder = self.parts.metrics, self.parts.recorder
        metrics.bring_up(metrics.saved, recorder.saved)
        metrics.bring_up(metrics.not_saved, recorder.failed, "disk")
        metrics.bring_up(metrics.not_saved, recorder.dropped, "rate")
        metrics.storage_bytes.set(recorder.bytes)
        for lane in self.parts.lanes.values():
            metrics.bring_up(metrics.frames, lane.source.figures.dropped, lane.name, "dropped")

    def take_lanes(self, lanes: dict[str, Lane]) -> None:
        """Watch the cameras of a reloaded configuration: those that run go on, new ones start."""
        self.parts.lanes = lanes
        self._rota.take([lane.source for lane in lanes.values()])

    def end_visits(self, lane: Lane) -> None:
        """Whoever is in view when a source ends, or a camera is taken away, has been here."""
        events = lane.decider.finish(lane.last_at_s, self._clock.utc())
        self.parts.recorder.note(events)
        self._report(events)
        self._ended_visits.update(lane.decider.totals())
        lane.begin_anew()

    def figures(self) -> dict[str, Any]:
        """Counters since the start, rates and latencies: what stats and the summary share."""
        visits = Counter(self._ended_visits)
        for lane in self.parts.lanes.values():
            visits.update(lane.decider.totals())
        elapsed_s = max(1e-6, self._clock.monotonic() - self._started_s)
        return {
            "people": {label: visits[label] for label in self._labels(visits)},
            "cannot_tell": visits[CANNOT_TELL],
            "frames": self._frames,
            "fps": round(self._frames / elapsed_s, 2),
            "latency_ms": self.watch.percentiles_ms(),
            "saved": self.parts.recorder.saved,
            "faces": self._faces,
            "elapsed_s": round(elapsed_s, 3),
            "cameras": {name: lane.figures() for name, lane in self.parts.lanes.items()},
            "compliance": self._compliance_figures(),
        }

    def _labels(self, visits: Counter[str]) -> list[str]:
        """The classifier's, and those of one before a reload that people were counted under."""
        now = self.parts.predictor.labels
        return [*now, *(label for label, count in visits.items() if count and label not in (*now, CANNOT_TELL))]

    def _compliance_figures(self) -> list[dict[str, Any]]:
        """Over all cameras, each camera and each zone; nothing where the model does not know what is correct."""
        if CORRECT_LABEL not in self.parts.predictor.labels:
            return []
        places: list[Place] = [(None, None)]
        for name, lane in self.parts.lanes.items():
            places += [(name, None), *((name, zone.name) for zone in lane.camera.zones)]
        return [asdict(rate) for rate in self._compliance.report(self._clock.monotonic(), places)]
