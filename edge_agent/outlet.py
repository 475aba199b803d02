"""What this device says on MQTT, topic by topic: its will, its state, discovery, answers. The link below carries it."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from pathlib import Path

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent import homeassistant
from edge_agent.commands import is_fit_for_answers
from edge_agent.config import Config
from edge_agent.health import Health
from edge_agent.identity import client_id
from edge_agent.messages import Info
from edge_agent.metrics import Metrics
from edge_agent.mqtt import Link, Listener
from edge_agent.mqtt_client import Inbound, Publication
from edge_agent.retained import Published
from edge_agent.spool import Spool

log = logging.getLogger(__name__)


class Outlet(Listener):
    """Topics below maskwatch/<device>/, retained state, discovery."""

    def __init__(
        self,
        config: Config,
        state_dir: Path,
        spool: Spool,
        health: Health,
        metrics: Metrics,
        on_command: Callable[[Inbound], None],
    ) -> None:
        self._config, self._state_dir = config, state_dir
        self._published, self._published_lock = Published.load(state_dir), threading.Lock()
        self._health, self._metrics, self._on_command = health, metrics, on_command
        self._base = f"maskwatch/{config.device.name}"
        self._connects = self._acknowledged = 0
        self._said: str | None = None
        self._birth_timer: threading.Timer | None = None
        self._discovery: Publication | None = None
        subscriptions = [(f"{self._base}/cmd", 1)] if config.mqtt.commands else []
        if config.mqtt.homeassistant.enabled:
            subscriptions.append((homeassistant.birth_topic(config), 0))
        self._link = Link(
            config.mqtt,
            client_id(config.device.name, state_dir),
            self._available("offline"),
            subscriptions,
            spool,
            self,
        )
        self._link.set_state(self._available("online"))

    @property
    def is_up(self) -> bool:
        return self._link.is_up

    @property
    def counts(self) -> tuple[int, int]:
        """Connections so far, events acknowledged so far."""
        return self._connects, self._acknowledged

    def start(self) -> None:
        self._link.start()

    def wake(self) -> None:
        self._link.wake()

    def state(self, name: str, payload: bytes, qos: int) -> None:
        """Retained; the latest of each topic is sent again on each connect."""
        self._link.set_state(Publication(f"{self._base}/{name}", payload, qos, retain=True))

    def once(self, name: str, payload: bytes) -> bool:
        """Now or never."""
        return self._link.send(Publication(f"{self._base}/{name}", payload))

    def answer(self, topic: str | None, correlation: bytes | None, payload: bytes) -> None:
        """To the sender's response topic, else to cmd/result."""
        properties = None
        if correlation is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = correlation
        where = topic if topic is not None and is_fit_for_answers(topic) else f"{self._base}/cmd/result"
        self._link.send(Publication(where, payload, 1, False, properties))

    def describe(self, info: Info, threshold: float | None) -> None:
        """Publish discovery, and clear whatever an earlier configuration left on the broker."""
        config = self._config
        topics = {f"{self._base}/{name}" for name in ("available", "info", "stats")}
        for camera in config.camera:
            topics |= {f"{self._base}/camera/{camera.name}/{name}" for name in ("status", "people")}
        components: dict[str, str] = {}
        if config.mqtt.homeassistant.enabled:
            topics.add(homeassistant.discovery_topic(config))
            components = {key: part["p"] for key, part in homeassistant.build(config, info, threshold).items()}
        with self._published_lock:
            stale, gone = self._published.replace(topics, components, self._state_dir)
        for topic in stale:
            self._link.set_state(Publication(topic, b"", 1, retain=True))
        if config.mqtt.homeassistant.enabled:
            payload = homeassistant.discovery(config, info, threshold, gone)
            self._discovery = Publication(homeassistant.discovery_topic(config), payload, 1, retain=True)
            self._link.set_state(self._discovery)

    def reconfigure(self, config: Config) -> None:
        """Cameras may have come or gone; the device's name and the broker stay until a restart."""
        self._config = config.model_copy(update={"device": self._config.device, "mqtt": self._config.mqtt})

    def close(self, within_s: float) -> None:
        """`offline`, then DISCONNECT."""
        if self._birth_timer is not None:
            self._birth_timer.cancel()
        self._link.close(self._available("offline"), within_s)

    def _available(self, word: str) -> Publication:
        return Publication(f"{self._base}/available", word.encode(), 1, retain=True)

    # --- the link tells, in its thread

    def connected(self) -> None:
        self._connects += 1
        self._metrics.mqtt_connects.inc()
        self._health.declare("mqtt", None)
        self._said = None
        log.info("mqtt: connected to %s:%d", self._config.mqtt.host, self._config.mqtt.port)

    def disconnected(self, kind: str, words: str) -> None:
        self._metrics.mqtt_failures.labels(kind).inc()
        self._health.declare("mqtt", words)
        if self._said != words:
            self._said = words
            log.warning("mqtt: %s; the agent runs on, events wait in the spool", words)

    def received(self, message: Inbound) -> None:
        if message.topic == f"{self._base}/cmd":
            self._on_command(message)
        elif message.topic == homeassistant.birth_topic(self._config) and message.payload == b"online":
            self._birth(message)

    def acknowledged(self) -> None:
        self._acknowledged += 1
        self._metrics.published.inc()

    def cleared(self, topic: str) -> None:
        with self._published_lock:
            self._published.cleared(topic, self._state_dir)

    def _birth(self, message: Inbound) -> None:
        """Home Assistant has started: describe ourselves again, not at the same moment as every other device."""
        if message.retain or self._discovery is None:
            return  # retained: we have just connected and sent everything
        if self._birth_timer is not None and self._birth_timer.is_alive():
            return
        delay_s = random.uniform(0, self._config.mqtt.homeassistant.birth_jitter_s)
        self._birth_timer = threading.Timer(delay_s, self._link.send_all_state)
        self._birth_timer.daemon = True
        self._birth_timer.start()
