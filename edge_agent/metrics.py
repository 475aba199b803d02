"""Prometheus metrics, in a registry of their own, base units, names that begin with maskwatch_.

metrics = Metrics()
metrics.frames.labels("hall", "processed").inc()      # outcomes: processed | still | paused | dropped
metrics.stage("detect", 0.0042)                       # fits Stopwatch(on_sample=metrics.stage)
metrics.text()                                        # what GET /metrics answers, metrics.CONTENT_TYPE
"""

from __future__ import annotations

import math
import threading
from collections import Counter as Counts
from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5)
STATUSES = ("online", "stalled", "frozen", "dark", "covered", "moved", "offline")


class Metrics:
    """Every metric is an attribute. `before_text` is called before each answer, for gauges that are dear to read."""

    CONTENT_TYPE = CONTENT_TYPE_LATEST

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = own = registry or CollectorRegistry()
        self.before_text: Callable[[], None] = lambda: None
        ProcessCollector(registry=own)
        self.build = Info("maskwatch_build", "Versions of the agent and its models", registry=own)
        self.frames = Counter("maskwatch_frames", "Frames by outcome", ["camera", "outcome"], registry=own)
        self.stage_seconds = Histogram(
            "maskwatch_stage_duration_seconds", "Time in a stage", ["stage"], buckets=STAGE_BUCKETS_S, registry=own
        )
        self._stage = cache(self.stage_seconds.labels)  # a look-up by label costs more than a sample
        self.faces = Counter("maskwatch_faces", "Faces detected", ["camera"], registry=own)
        self.events = Counter("maskwatch_events", "Events by type", ["camera", "type"], registry=own)
        self.visits = Counter("maskwatch_visits", "Visits that ended, by verdict", ["camera", "label"], registry=own)
        self.people = Gauge("maskwatch_people", "People in view now", ["camera", "label"], registry=own)
        self.camera_up = Gauge(
            "maskwatch_camera_status", "1 for the current status", ["camera", "status"], registry=own
        )
        self.reconnects = Counter("maskwatch_camera_reconnects", "Camera reconnections", ["camera"], registry=own)
        self.last_frame = Gauge(
            "maskwatch_last_frame_timestamp_seconds", "When the last frame was processed", ["camera"], registry=own
        )
        self.healthy = Gauge("maskwatch_healthy", "1 ok, 0.5 degraded, 0 failing", registry=own)
        self.mqtt_connected = Gauge("maskwatch_mqtt_connected", "1 while a broker takes messages", registry=own)
        self.mqtt_connects = Counter("maskwatch_mqtt_connects", "Connections to the broker", registry=own)
        self.mqtt_failures = Counter("maskwatch_mqtt_failures", "Failed connections", ["reason"], registry=own)
        self.commands = Counter("maskwatch_commands", "Commands by outcome", ["outcome"], registry=own)
        self.published = Counter("maskwatch_events_acknowledged", "Events that the broker has", registry=own)
        self.dropped = Counter("maskwatch_events_dropped", "Events lost, by reason", ["reason"], registry=own)
        self.spool_events = Gauge("maskwatch_spool_events", "Events that wait for the broker", registry=own)
        self.spool_bytes = Gauge("maskwatch_spool_bytes", "Their size", registry=own)
        self.saved = Counter("maskwatch_pictures_saved", "Pictures saved", registry=own)
        self.not_saved = Counter(
            "maskwatch_pictures_not_saved", "Pictures not saved, by reason", ["reason"], registry=own
        )
        self.storage_bytes = Gauge("maskwatch_storage_bytes", "Bytes used by saved pictures", registry=own)
        self.disk_free_bytes = Gauge("maskwatch_disk_free_bytes", "Free space of the state directory", registry=own)
        self.temperature = Gauge("maskwatch_temperature_celsius", "Hottest thermal zone", registry=own)
        self.temperature.set(math.nan)  # a machine without a sensor is not at 0 degrees
        self._bringing = threading.Lock()
        self._brought: Counts[tuple[Counter, tuple[str, ...]]] = Counts()

    def stage(self, name: str, seconds: float) -> None:
        """One sample of a stage's duration."""
        self._stage(name).observe(seconds)

    def camera_status(self, camera: str, status: str) -> None:
        """One of STATUSES is 1, the others 0."""
        for word in STATUSES:
            self.camera_up.labels(camera, word).set(word == status)

    def bring_up(self, counter: Counter, total: int, *labels: str) -> None:
        """Bring a counter up to a total that is counted elsewhere; never down."""
        child = counter.labels(*labels) if labels else counter
        with self._bringing:  # two who read at once must not both add
            child.inc(max(0, total - self._brought[counter, labels]))
            self._brought[counter, labels] = max(total, self._brought[counter, labels])

    def forget_camera(self, camera: str) -> None:
        """A camera that is gone has no people, status or last frame; its counters stay."""
        for gauge in (self.people, self.camera_up, self.last_frame):
            for sample in next(iter(gauge.collect())).samples:
                if sample.labels["camera"] == camera:
                    gauge.remove(*sample.labels.values())

    def text(self) -> bytes:
        """The exposition of all metrics."""
        self.before_text()
        return generate_latest(self.registry)
