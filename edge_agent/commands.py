"""Commands from the broker: read, checked, carried out once, answered.

`Commands.receive` is called with each message on `maskwatch/<device>/cmd`. What is fit for the loop lands in `orders`,
which the loop polls; it answers through `Reporter.answer`. Everything else is refused, counted by reason, and answered
where it can be: retained (it would be carried out at every reconnect), malformed, expired, busy.
"""

from __future__ import annotations

import logging
import queue
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

from pydantic import ValidationError

from edge_agent.messages import LARGEST_COMMAND_BYTES, Command
from edge_agent.mqtt_client import Inbound

log = logging.getLogger(__name__)
MOST_WAITING = 16
REMEMBERED_IDS = 256
LONGEST_RESPONSE_TOPIC = 256


@dataclass(frozen=True, slots=True)
class Order:
    """A command that may be carried out, and where its answer goes."""

    command: Command
    response_topic: str | None = None
    correlation: bytes | None = None


Answer = Callable[[Order | None, Inbound, bool, str], None]


class Commands:
    """answer: sends a refusal, for an order (None where the message could not even be read)."""

    def __init__(self, utc: Callable[[], float], refuse: Callable[[Order, str], None]) -> None:
        self.orders: queue.Queue[Order] = queue.Queue(MOST_WAITING)
        self.refused: Counter[str] = Counter()
        self._utc, self._refuse = utc, refuse
        self._answered: OrderedDict[str, bytes | None] = OrderedDict()

    def receive(self, message: Inbound) -> bytes | None:
        """Take one message; the bytes of the earlier answer where this id was answered before."""
        if message.retain:
            self._count("retained", "a retained command is ignored; clear it with an empty retained message")
            return None
        if len(message.payload) > LARGEST_COMMAND_BYTES:
            self._count("malformed", f"a command of {len(message.payload)} bytes is ignored")
            return None
        where = message.response_topic if is_fit_for_answers(message.response_topic) else None
        try:
            command = Command.model_validate_json(message.payload)
        except ValidationError as error:
            what = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'command'}: {e['msg']}" for e in error.errors()[:3])
            self._count("malformed", f"a command cannot be read: {what}")
            self._refuse(Order(_UNREADABLE, where, message.correlation), f"cannot be read: {what}")
            return None
        order = Order(command, where, message.correlation)
        if command.id is not None and command.id in self._answered:
            self._count("repeated", "a command with an id that was seen is not carried out again")
            return self._answered[command.id]
        self._take(order)
        return None

    def _take(self, order: Order) -> None:
        command = order.command
        if command.expires_at is not None and self._seconds_left(command) <= 0:
            self._count("expired", "a command came after its expiry")
            self._refuse(order, "expired before it arrived; is one of the clocks wrong?")
            return
        try:
            self.orders.put_nowait(order)
        except queue.Full:
            self._count("busy", "too many commands wait")
            self._refuse(order, f"{MOST_WAITING} commands wait already; send it again later")
            return
        self.remember(order, None)

    def remember(self, order: Order, answer: bytes | None) -> None:
        """Keep the answer of an id, for when the same command comes again."""
        if order.command.id is None:
            return
        self._answered[order.command.id] = answer
        self._answered.move_to_end(order.command.id)
        while len(self._answered) > REMEMBERED_IDS:
            self._answered.popitem(last=False)

    def _seconds_left(self, command: Command) -> float:
        expires = command.expires_at
        assert expires is not None
        moment = expires if expires.tzinfo is not None else expires.replace(tzinfo=UTC)
        return moment.timestamp() - self._utc()

    def _count(self, reason: str, words: str) -> None:
        self.refused[reason] += 1
        log.warning("mqtt: %s", words)


def is_fit_for_answers(topic: str | None) -> bool:
    """A response topic that may be published to: no wildcard, no broker topic, of a sane length."""
    if not topic or len(topic) > LONGEST_RESPONSE_TOPIC:
        return False
    return not topic.startswith("$") and not any(letter in topic for letter in "+#\0")


_UNREADABLE = Command.model_construct(id=None, action=None, args=None, expires_at=None)
