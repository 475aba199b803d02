"""The connection to the broker: one thread, MQTT 5, paho's non-threaded calls; nothing here knows what is in a message.

    link = Link(config.mqtt, client_id, will, subscriptions, spool, listener)
    link.start()
    link.set_state(Publication(topic, payload, 1, True))     # the latest of each topic, sent again on each connect
    link.send(Publication(...))                              # now, or dropped
    link.wake()                                              # the spool has something
    link.close(last=offline, within_s=2.0)

Each connection is a fresh paho client: what was not acknowledged comes again from the spool, in order, and nothing that
paho remembers can contradict it. paho's own reconnecting has no jitter and no limit for a broker that accepts and
never answers, so both are here.
"""

from __future__ import annotations

import contextlib
import logging
import random
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.config import MqttConfig
from edge_agent.mqtt_client import Failure, Inbound, Publication, explain, make_client, taken_over
from edge_agent.spool import Spool

log = logging.getLogger(__name__)

WINDOW = 20  # events under way; mosquitto's own default
CONNECT_WITHIN_S = 8.0
ANSWER_WITHIN_S = 10.0
FIRST_PAUSE_S = 1.0
LASTED_S = 10.0  # a shorter connection does not reset the back-off
CONTEST_S = 90.0  # a broker that ends two connections sooner than this has perhaps given our id to another client
HOLD_S = 30.0  # after the broker refused an event for a reason that may pass
MOST_TO_SEND = 50
LARGEST_INBOUND_BYTES = 65_536  # the broker holds back what is larger; a command has 4 KB at most
FINAL_REFUSALS = frozenset({0x90, 0x95, 0x99})  # topic name invalid, packet too large, payload format invalid


class Listener:
    """What the link tells its owner, in the link's thread."""

    def connected(self) -> None:
        """A broker took us."""

    def disconnected(self, kind: str, words: str) -> None:
        """The connection, or an attempt at one, failed."""

    def received(self, message: Inbound) -> None:
        """A message came."""

    def acknowledged(self) -> None:
        """The broker has one more event."""

    def cleared(self, topic: str) -> None:
        """The broker has removed what was retained under this topic."""


class Link:
    """Keeps one connection alive for as long as the agent runs."""

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        will: Publication,
        subscriptions: list[tuple[str, int]],
        spool: Spool,
        listener: Listener,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._config, self._client_id, self._will = config, client_id, will
        self._subscriptions, self._spool, self._listener = subscriptions, spool, listener
        self._clock, self._uniform = clock, uniform
        self._lock = threading.Lock()
        self._state: dict[str, Publication] = {}
        self._dirty: dict[str, None] = {}
        self._to_send: deque[Publication] = deque(maxlen=MOST_TO_SEND)
        self._client: paho.Client | None = None
        self._up = False
        self._failure: Failure | None = None
        self._dropped_early = 0
        self._inflight: dict[int, int | Publication] = {}  # packet id: row of the spool, or another message
        self._window = WINDOW
        self._largest_bytes: int | None = None
        self._hold_until = float("-inf")
        self._refused_some = False
        self._last: Publication | None = None
        self._last_mid: int | None = None
        self._deadline: float | None = None
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def is_up(self) -> bool:
        return self._up

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look for work now. Never blocks."""
        with contextlib.suppress(OSError):  # full: it is awake already
            self._wake_write.send(b".")

    def set_state(self, publication: Publication) -> None:
        """The latest of this topic; kept and sent again on each connect. An empty payload removes the topic."""
        with self._lock:
            self._state[publication.topic] = publication
            self._dirty[publication.topic] = None
        self.wake()

    def send_all_state(self) -> None:
        """Send the latest of every topic again."""
        with self._lock:
            self._dirty = dict.fromkeys(self._state)
        self.wake()

    def send(self, publication: Publication) -> bool:
        """Once, now; False where no broker is there to take it."""
        if not self._up:
            return False
        self._to_send.append(publication)
        self.wake()
        return True

    def close(self, last: Publication | None = None, within_s: float = 2.0) -> None:
        """Send what waits, then `last`, then DISCONNECT; a broker that hangs is left behind after `within_s`."""
        self._last = last
        self._deadline = self._clock() + within_s
        self.wake()
        if self._thread.is_alive():
            self._thread.join(within_s)

    # --- the thread

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while self._deadline is None:
            since = self._clock()
            try:
                self._connect_and_serve()
                failure = self._failure or Failure("lost", "the connection broke")
            except Exception as error:  # this thread must outlive whatever a broker sends
                log.debug("mqtt: the connection ended", exc_info=True)
                failure = self._failure or explain(error, self._config)
            was_up = self._up
            self._down()
            if self._deadline is not None:
                return
            lasted_s = self._clock() - since if was_up else 0.0
            failure = self._contest(failure, lasted_s)
            self._listener.disconnected(failure.kind, failure.words)
            lasted = lasted_s > LASTED_S
            longest = self._config.reconnect_max_s
            pause_s = FIRST_PAUSE_S if lasted else longest if failure.is_final else min(pause_s * 2, longest)
            self._sleep(pause_s * self._uniform(0.5, 1.0))

    def _contest(self, failure: Failure, lasted_s: float) -> Failure:
        """Take another id where another client has ours: two with one id would kick each other for ever.

        Not every broker says so (mosquitto 2.0.11 does not): it just ends the older connection, again and again.
        """
        if lasted_s > CONTEST_S:
            self._dropped_early = 0
        elif lasted_s > 0 and failure.kind == "dropped":
            self._dropped_early += 1
        if self._dropped_early >= 2:
            failure = taken_over(self._config)
        if failure.kind == "taken_over":
            self._dropped_early = 0
            self._client_id = f"{self._client_id[:40]}-{random.getrandbits(32):08x}"
        return failure

    def _sleep(self, seconds: float) -> None:
        until = self._clock() + seconds
        while self._deadline is None and (left := until - self._clock()) > 0:
            select.select([self._wake_read], [], [], min(left, 1.0))
            self._drain_wakes()
            if self._deadline is None:
                time.sleep(min(0.05, max(0.0, left)))  # each event wakes; that is no reason to spin

    def _connect_and_serve(self) -> None:
        self._failure = None
        client = self._client = make_client(self._config, self._client_id, self._will, CONNECT_WITHIN_S)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._config.session_expiry_s
        properties.MaximumPacketSize = LARGEST_INBOUND_BYTES
        client.connect(
            self._config.host, self._config.port, self._config.keepalive_s, clean_start=False, properties=properties
        )
        answer_by = self._clock() + ANSWER_WITHIN_S
        while client.socket() is not None and self._failure is None:
            self._turn(client)
            if not self._up and self._clock() > answer_by:
                raise TimeoutError(f"no answer within {ANSWER_WITHIN_S:g} s")
            if self._deadline is not None and self._finished(client):
                return

    def _turn(self, client: paho.Client) -> None:
        """Wait for the socket or for work, then do all of it."""
        sock = client.socket()
        if sock is None:
            return
        poller = select.poll()
        poller.register(sock, select.POLLIN | (select.POLLOUT if client.want_write() else 0))
        poller.register(self._wake_read, select.POLLIN)
        hidden = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        closing = self._deadline is not None
        ready = dict(poller.poll(0 if hidden else 20 if closing else 500))
        if self._wake_read.fileno() in ready:
            self._drain_wakes()
        if hidden or ready.get(sock.fileno(), 0) & ~select.POLLOUT:
            client.loop_read()
        if client.want_write():
            client.loop_write()
        client.loop_misc()
        if self._up and client.socket() is not None:
            self._work(client)

    def _drain_wakes(self) -> None:
        with contextlib.suppress(OSError):  # empty
            while self._wake_read.recv(4096):
                pass

    def _down(self) -> None:
        self._up = False
        client, self._client = self._client, None
        if client is not None and (sock := client.socket()) is not None:
            sock.close()
        self._inflight.clear()
        self._to_send.clear()
        self._spool.rewind()

    # --- sending

    def _work(self, client: paho.Client) -> None:
        while self._to_send and self._may_send(client):
            self._publish(client, self._to_send.popleft())
        while self._dirty and self._may_send(client):
            with self._lock:
                topic = next(iter(self._dirty), None)
                if topic is None:
                    break
                del self._dirty[topic]
                publication = self._state.get(topic)
            if publication is not None:
                self._publish(client, publication)
        self._send_events(client)

    def _may_send(self, client: paho.Client) -> bool:
        """A slow broker is not buried in what it has not taken yet."""
        return len(self._inflight) < self._window and not client.want_write()

    def _publish(self, client: paho.Client, publication: Publication, row_id: int | None = None) -> int:
        mid = client.publish(
            publication.topic, publication.payload, publication.qos, publication.retain, publication.properties
        ).mid
        if publication.qos > 0:
            self._inflight[mid] = publication if row_id is None else row_id
        return mid

    def _send_events(self, client: paho.Client) -> None:
        if self._refused_some and not self._inflight:
            if self._clock() < self._hold_until:
                return
            self._refused_some = False
            self._spool.rewind()
        if self._refused_some:
            return
        while self._may_send(client):
            rows = self._spool.take(1)
            if not rows:
                return
            row = rows[0]
            if self._largest_bytes is not None and row.size + 64 > self._largest_bytes:
                self._spool.ack(row.id, dropped="refused")
                continue
            self._publish(client, Publication(row.topic, row.payload, qos=1), row.id)

    def _finished(self, client: paho.Client) -> bool:
        """Closing: events first, `last` next, DISCONNECT when it is acknowledged or time is up."""
        assert self._deadline is not None
        left = self._deadline - self._clock()
        if left <= 0 or not self._up:
            return True
        if self._last is not None and self._last_mid is None:
            idle = not self._inflight and not self._spool.state().events
            if idle or left < 1.0:
                self._last_mid = self._publish(client, self._last)
            return False
        if self._last_mid is not None and self._last_mid >= 0:
            return False
        client.disconnect()
        for _ in range(20):
            if client.socket() is None or not client.want_write():
                break
            client.loop_write()
        return True

    # --- paho's callbacks, in this thread

    def _on_connect(
        self, client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._failure = explain(reason, self._config)
            return
        self._window = min(WINDOW, getattr(properties, "ReceiveMaximum", None) or WINDOW)
        self._largest_bytes = getattr(properties, "MaximumPacketSize", None)
        for topic, qos in self._subscriptions:
            # as published: a command that was sent retained is seen to be, also while we are connected
            client.subscribe(topic, options=SubscribeOptions(qos=qos, retainAsPublished=True))
        with self._lock:
            self._dirty = dict.fromkeys(self._state)
        self._up = True
        self._listener.connected()

    def _on_disconnect(
        self, _client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if self._failure is None:
            self._failure = explain(reason, self._config)

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if mid == self._last_mid:
            self._last_mid = -1
        sent = self._inflight.pop(mid, None)
        if reason.is_failure:
            log.error("the broker refuses a message (%s); check what its ACL allows this device", reason)
        if isinstance(sent, int):
            self._answered(sent, reason)
        elif sent is not None and sent.retain and not sent.payload and not reason.is_failure:
            self._cleared(sent)

    def _answered(self, row_id: int, reason: ReasonCode) -> None:
        """The broker took an event, or did not."""
        if not reason.is_failure:
            self._spool.ack(row_id)
            self._listener.acknowledged()
        elif reason.value in FINAL_REFUSALS:
            self._spool.ack(row_id, dropped="refused")
        else:
            self._refused_some = True
            self._hold_until = self._clock() + HOLD_S

    def _cleared(self, sent: Publication) -> None:
        with self._lock:
            if self._state.get(sent.topic) is not sent:
                return  # it has come back meanwhile
            del self._state[sent.topic]
        self._listener.cleared(sent.topic)

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        self._listener.received(Inbound.of(message))
