"""A real mosquitto on a free port, a subscriber that remembers everything, and brokers that misbehave."""

from __future__ import annotations

import getpass
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.records import Box, Event

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[..., object], within_s: float = 30) -> bool:
    """Whether it comes true in time; the machine may be busy, so times are generous."""
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


class Broker:
    """One mosquitto. `settings` replaces the anonymous listener's lines."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true", port: int | None = None) -> None:
        assert MOSQUITTO, "mosquitto is missing; apt-get install mosquitto"
        self.port = port or free_port()
        self.log = folder / f"mosquitto-{self.port}.log"
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._settings = settings
        self._store = store = folder / f"store-{self.port}"
        store.mkdir()
        self._config.write_text(
            f"user {getpass.getuser()}\nlistener {self.port} 127.0.0.1\n{settings}\n"
            f"persistence true\npersistence_location {store}/\n"
            "autosave_interval 1\nmax_queued_messages 0\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-v", "-c", self._config], stdout=log, stderr=log)
        assert until(self._answers), self.log.read_text()
        return self

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False  # whoever answers is another
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def save(self) -> None:
        """Wait until all of now is on its disk, sessions and retained messages: a killed broker knows nothing else."""
        now = time.time()
        file = self._store / "mosquitto.db"
        assert until(lambda: file.exists() and file.stat().st_mtime > now), "mosquitto saves each second"

    def tell(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
                self._process.send_signal(number)
            self._process.wait(20)
            self._process = None


@dataclass
class Heard:
    topic: str
    payload: bytes
    retain: bool
    properties: Properties | None = None


@dataclass
class Subscriber:
    """Connected through restarts of the broker, with a session that the broker keeps."""

    port: int
    topics: tuple[str, ...] = ("#",)
    name: str = "subscriber"
    account: tuple[str, str] | None = None
    heard: list[Heard] = field(default_factory=list)

    def start(self) -> Subscriber:
        self._subscribed = threading.Event()
        self.client = client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=self.name, protocol=paho.MQTTv5, reconnect_on_failure=True
        )
        client.reconnect_delay_set(0.1, 0.1)
        if self.account is not None:
            client.username_pw_set(*self.account)
        client.on_connect = lambda c, *_: [c.subscribe(topic, 1) for topic in self.topics]
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = lambda _c, _u, m: self.heard.append(Heard(m.topic, m.payload, m.retain, m.properties))
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 600
        client.connect("127.0.0.1", self.port, clean_start=False, properties=properties)
        client.loop_start()
        assert self._subscribed.wait(20)
        return self

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def send(self, topic: str, payload: bytes | str, retain: bool = False, **more: object) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        for key, value in more.items():
            setattr(properties, key, value)
        self.client.publish(topic, payload, 1, retain, properties).wait_for_publish(20)

    def payloads(self, topic: str) -> list[bytes]:
        return [heard.payload for heard in list(self.heard) if heard.topic == topic]

    def topics_heard(self) -> set[str]:
        return {heard.topic for heard in list(self.heard)}

    def last(self, topic: str) -> bytes | None:
        return next(iter(reversed(self.payloads(topic))), None)


@contextmanager
def slow_road(port: int, bytes_per_s: int) -> Iterator[int]:
    """A way to the broker that carries little, as a bad radio link does; yields its own port."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    ends = threading.Event()
    threads: list[threading.Thread] = []

    def carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while not ends.is_set() and (piece := source.recv(bytes_per_s // 20)):
                target.sendall(piece)
                time.sleep(len(piece) / bytes_per_s)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        while not ends.is_set():
            with suppress(TimeoutError):
                near, _ = server.accept()
                near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                far = socket.create_connection(("127.0.0.1", port))
                threads.extend(threading.Thread(target=carry, args=ends_) for ends_ in ((near, far), (far, near)))
                for thread in threads[-2:]:
                    thread.start()

    threads.append(threading.Thread(target=serve))
    threads[0].start()
    try:
        yield int(server.getsockname()[1])
    finally:
        ends.set()
        for thread in list(threads):
            thread.join(10)
        server.close()


@contextmanager
def listening(port: int, answer: Callable[[socket.socket], None]) -> Iterator[list[float]]:
    """A server that is no broker: each connection is given to `answer`; yields the times of connections."""
    times: list[float] = []
    server = socket.create_server(("127.0.0.1", port))
    server.settimeout(0.2)
    ends = threading.Event()
    held: list[socket.socket] = []

    def serve() -> None:
        while not ends.is_set():
            with suppress(TimeoutError):
                connection, _ = server.accept()
                times.append(time.monotonic())
                held.append(connection)
                with suppress(OSError):
                    answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield times
    finally:
        ends.set()
        thread.join(5)
        for connection in held:
            connection.close()
        server.close()


def visit(number: int, kind: str = "new", camera: str = "hall") -> Event:
    """An event of a made-up visit."""
    now = time.time()
    return Event(
        type=kind,
        visit=f"visit-{number}",
        camera=camera,
        track=number,
        before=None if kind == "new" else "with_mask",
        after="with_mask",
        counted_as="with_mask",
        probabilities=(0.97, 0.02, 0.01),
        box=Box(10.2, 20, 30, 40),
        zone=None,
        static=False,
        frames=9,
        at_s=time.monotonic(),
        utc_s=now,
        first_seen_utc_s=now - 1,
        last_seen_utc_s=now,
        duration_s=1.0,
    )
