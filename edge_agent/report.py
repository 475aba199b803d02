"""Events and figures on their way out: spool and MQTT, events file, health and metrics; commands on their way in.

    reporter = Reporter(config, state_dir, info, health=health, metrics=metrics, events_file=args.events)
    reporter.start()                                  # UnavailableError (69): another agent has this state directory
    sent = reporter.event(event)                      # the JSON object as it goes out, for the page as well
    reporter.camera_status("hall", "stalled", "no picture for 5 s")
    reporter.people("hall", {"with_mask": 2, "cannot_tell": 1})
    if reporter.stats_due(): reporter.stats(LoopFigures(...), paused=False, threshold=0.6)
    reporter.snapshot("hall", jpeg)                   # privacy is the caller's; nothing goes out unless mqtt.snapshots
    while (order := reporter.next_order()): ...; reporter.answer(order, True, "paused")
    reporter.reloaded(config, info) or reporter.reload_failed("why")
    reporter.close()                                  # within two seconds, `offline` before DISCONNECT

No method blocks on the network or on the disk (the events file apart), none raises because of them. Without a broker in
the configuration nothing is spooled; with one that is away the agent runs on, says so once, and events wait.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_agent import identity
from edge_agent.clock import Clock, SystemClock, boot_id, clock_synchronised
from edge_agent.commands import Commands, Order
from edge_agent.config import Config
from edge_agent.events_file import EventsFile
from edge_agent.health import Health
from edge_agent.host import Host
from edge_agent.messages import (
    CommandResult,
    EventMessage,
    Info,
    InfoMessage,
    LoopFigures,
    MqttFigures,
    PeopleMessage,
    SpoolFigures,
    StatsMessage,
    event_message,
    utc,
)
from edge_agent.metrics import Metrics
from edge_agent.mqtt_client import Inbound
from edge_agent.outlet import Outlet
from edge_agent.records import CANNOT_TELL, Event
from edge_agent.spool import DROP_REASONS, Spool

log = logging.getLogger(__name__)

CLOSE_WITHIN_S = 1.8
SYNCHRONISED_EVERY_S = 30.0
Json = dict[str, Any]


class Reporter:
    """Called by the loop; other threads call `health_words` and `next_order` at most."""

    def __init__(
        self,
        config: Config,
        state_dir: Path,
        info: Info,
        *,
        health: Health | None = None,
        metrics: Metrics | None = None,
        events_file: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._config, self._state_dir, self._info = config, state_dir, info
        self._clock = clock or SystemClock()
        self._health = health or Health(self._clock.monotonic)
        self._metrics = metrics or Metrics()
        self._metrics.before_text = self._fill_metrics
        self._host = Host(state_dir, clock=self._clock.monotonic)
        self._start = secrets.token_hex(4)
        self._started_s = self._clock.monotonic()
        self._boot = boot_id()
        self._synchronised: tuple[float, bool | None] = (float("-inf"), None)
        self._seq: dict[str, int] = {}
        self._seq_lock = threading.Lock()
        self._stats_at = self._started_s
        self._people: dict[str, dict[str, int]] = {}
        self._threshold: float | None = None
        self._reload_error: str | None = None
        self._commands = Commands(self._clock.utc, lambda order, words: self.answer(order, False, words))
        self._events_file = None if events_file is None else EventsFile(events_file)
        self._lock_file: Any = None
        self._spool: Spool | None = None
        self._outlet: Outlet | None = None

    def start(self) -> None:
        """Take the state directory, open the spool, begin to connect."""
        self._lock_file = identity.lock(self._state_dir)
        self._begin_counters()
        if not self._config.mqtt.enabled:
            log.info("no broker is configured (mqtt.host); events stay on this device")
            return
        self._spool = Spool(self._state_dir / "spool.db", self._config.spool, self._clock.monotonic, on_put=self._wake)
        self._outlet = Outlet(
            self._config, self._state_dir, self._spool, self._health, self._metrics, self._command_came
        )
        self._publish_info()
        self._outlet.describe(self._info, self._threshold)
        self._outlet.start()

    # --- what goes out

    def event(self, event: Event) -> Json:
        """Spool an event, write it to the events file; the JSON object as it goes out."""
        message = self._event_message(event)
        payload = message.payload()
        if self._spool is not None:
            self._spool.put(f"maskwatch/{message.device}/events/{event.camera}", payload)
        self._look_at_events_file(payload)
        self._metrics.events.labels(event.camera, event.type).inc()
        if event.type == "end" and event.counted_as is not None:
            self._metrics.visits.labels(event.camera, event.counted_as).inc()
        return message.model_dump(mode="json", by_alias=True)

    def people(self, camera: str, counts: Mapping[str, int]) -> None:
        """People in view now; sent when it changes, and with each stats message."""
        now = dict(counts)
        if self._people.get(camera) == now:
            return
        self._people[camera] = now
        for label, count in now.items():
            self._metrics.people.labels(camera, label).set(count)
        self._publish_people(camera)

    def camera_status(self, camera: str, status: str, reason: str = "") -> None:
        """A status of DESIGN's list; also told to health and metrics."""
        self._health.camera_status(camera, status, reason)
        self._metrics.camera_status(camera, status)
        if self._outlet is not None:
            self._outlet.state(f"camera/{camera}/status", status.encode(), qos=1)

    def stats_due(self) -> bool:
        """Whether stats.interval_s has passed since the last stats."""
        return self._clock.monotonic() >= self._stats_at

    def stats(self, figures: LoopFigures, *, paused: bool = False, threshold: float | None = None) -> Json:
        """Publish counters and figures; the JSON object as it goes out."""
        now = self._clock.monotonic()
        self._stats_at = max(self._stats_at + self._config.stats.interval_s, now)
        if threshold is not None and self._threshold is None and self._outlet is not None:
            self._outlet.describe(self._info, threshold)
        self._threshold = threshold
        self._look_at_events_file()
        report = self._health.report()
        message = StatsMessage(
            **figures.model_dump(),
            **self._head("stats"),
            device=self._config.device.name,
            start=self._start,
            uptime_s=round(now - self._started_s, 1),
            health=report.state,
            reasons=report.reasons,
            paused=paused,
            threshold=threshold,
            host=self._host.figures(),
            spool=self._spool_figures(),
            mqtt=self._mqtt_figures(),
        )
        if self._outlet is not None:
            self._outlet.state("stats", message.payload(), qos=0)
        for camera in self._people:
            self._publish_people(camera)
        return message.model_dump(mode="json", by_alias=True)

    def snapshot(self, camera: str, jpeg: bytes) -> bool:
        """Publish a picture; False where mqtt.snapshots is off or no broker is there."""
        if self._outlet is None or not self._config.mqtt.snapshots:
            return False
        return self._outlet.once(f"camera/{camera}/snapshot", jpeg)

    # --- what comes in

    def next_order(self) -> Order | None:
        """The next command to carry out, or None."""
        try:
            return self._commands.orders.get_nowait()
        except queue.Empty:
            return None

    def answer(self, order: Order, ok: bool, message: str, **result: Any) -> None:
        """Tell the sender what became of a command."""
        reply = CommandResult(
            **self._head("cmd/result"),
            id=order.command.id,
            action=order.command.action,
            ok=ok,
            message=message,
            result=result,
        ).payload()
        self._metrics.commands.labels("done" if ok else "refused").inc()
        self._commands.remember(order, reply)
        if order.command.action is not None:
            log.info("command %s: %s", order.command.action, message)
        if self._outlet is not None:
            self._outlet.answer(order.response_topic, order.correlation, reply)

    def reloaded(self, config: Config, info: Info) -> None:
        """A new configuration or model is in use: tell it, remove what is gone. [mqtt] needs a restart."""
        for camera in {camera.name for camera in self._config.camera} - {camera.name for camera in config.camera}:
            self._health.forget_camera(camera)
            self._metrics.forget_camera(camera)
            self._people.pop(camera, None)
        # the device's name is in every topic, and stays until a restart
        config = config.model_copy(update={"device": self._config.device})
        self._config, self._info, self._reload_error = config, info, None
        self._begin_counters()
        self._health.declare("reload", None)
        self._publish_info()
        if self._outlet is not None:
            self._outlet.reconfigure(config)
            self._outlet.describe(info, self._threshold)

    def reload_failed(self, why: str) -> None:
        """The last good configuration runs on; say so in the log, health, and info."""
        log.error("reload refused, the old configuration runs on: %s", why)
        self._reload_error = why
        self._health.declare("reload", f"reload refused: {why}")
        self._publish_info()

    def close(self, within_s: float = CLOSE_WITHIN_S) -> None:
        """Send what waits and `offline`, commit the rest to disk; at most `within_s`, also where the broker hangs."""
        if self._outlet is not None:
            self._outlet.close(within_s * 0.7)
        if self._spool is not None:
            self._spool.close(within_s * 0.3)
        if self._events_file is not None:
            self._events_file.close()
        if self._lock_file is not None:
            self._lock_file.close()

    @property
    def events_lost(self) -> str | None:
        """How many events the events file lacks, in words, once this is closed; None: none."""
        return None if self._events_file is None else self._events_file.loss

    # --- within

    def _begin_counters(self) -> None:
        """At 0: Prometheus' increase() does not see the first step of a counter that appears with it."""
        for camera in self._config.camera:
            self._metrics.reconnects.labels(camera.name)
            for label in (*self._info.labels, CANNOT_TELL):
                self._metrics.visits.labels(camera.name, label)

    def _head(self, kind: str) -> Json:
        with self._seq_lock:
            self._seq[kind] = seq = self._seq.get(kind, 0) + 1
        return {"at": utc(self._clock.utc()), "seq": seq}

    def _event_message(self, event: Event) -> EventMessage:
        now = self._clock.monotonic()
        if now - self._synchronised[0] > SYNCHRONISED_EVERY_S:
            self._synchronised = (now, clock_synchronised())
        seq = int(self._head("events")["seq"])
        return event_message(
            event, self._info.labels, self._config.device.name, self._start, seq, self._boot, self._synchronised[1]
        )

    def _look_at_events_file(self, payload: bytes | None = None) -> None:
        if self._events_file is None:
            return
        if payload is None:
            self._events_file.flush()
        else:
            self._events_file.write(payload)
        self._health.declare("events_file", self._events_file.fault)

    def _publish_people(self, camera: str) -> None:
        counts = self._people[camera]
        message = PeopleMessage(**self._head("people"), camera=camera, people=counts, total=sum(counts.values()))
        if self._outlet is not None:
            self._outlet.state(f"camera/{camera}/people", message.payload(), qos=0)

    def _publish_info(self) -> None:
        if self._outlet is None:
            return
        message = InfoMessage(
            **self._head("info"),
            **self._info.model_dump(),
            device=self._config.device.name,
            start=self._start,
            cameras=tuple(camera.name for camera in self._config.camera),
            reload_error=self._reload_error,
        )
        self._outlet.state("info", message.payload(), qos=1)

    def _command_came(self, inbound: Inbound) -> None:
        earlier = self._commands.receive(inbound)
        if earlier is not None and self._outlet is not None:
            self._outlet.answer(inbound.response_topic, inbound.correlation, earlier)

    def _wake(self) -> None:
        if self._outlet is not None:
            self._outlet.wake()

    def _spool_figures(self) -> SpoolFigures:
        if self._spool is None:
            return SpoolFigures(events=0, bytes=0, dropped={})
        state = self._spool.state()
        self._health.declare("spool", f"spool: {state.disk_error}" if state.disk_error else None)
        return SpoolFigures(events=state.events, bytes=state.bytes, dropped=state.dropped, disk_error=state.disk_error)

    def _mqtt_figures(self) -> MqttFigures:
        connects, acknowledged = (0, 0) if self._outlet is None else self._outlet.counts
        return MqttFigures(
            connects=connects, events_acknowledged=acknowledged, commands_refused=dict(self._commands.refused)
        )

    def _fill_metrics(self) -> None:
        metrics, spool = self._metrics, self._spool_figures()
        metrics.spool_events.set(spool.events)
        metrics.spool_bytes.set(spool.bytes)
        for reason in {*DROP_REASONS, *spool.dropped}:
            metrics.bring_up(metrics.dropped, spool.dropped.get(reason, 0), reason)
        metrics.mqtt_connected.set(self._outlet is not None and self._outlet.is_up)
        metrics.healthy.set({"ok": 1, "degraded": 0.5, "failing": 0}[self._health.report().state])
        degrees = self._host.temperature_celsius()
        if degrees is not None:
            metrics.temperature.set(degrees)
        free = self._host.disk_free_bytes()
        if free is not None:
            metrics.disk_free_bytes.set(free)
