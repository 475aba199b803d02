"""A real mosquitto, and the reporting side of the agent as its client: what a subscriber sees."""

import json
import re
import signal
import subprocess
import time

import pytest

from broker_support import Broker, Subscriber, free_port, listening, slow_road, until, visit
from edge_agent.clock import SystemClock
from edge_agent.config import Config, load
from edge_agent.health import Health
from edge_agent.messages import EventMessage, Info, InfoMessage, LoopFigures, PeopleMessage, StatsMessage
from edge_agent.report import Reporter

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
INFO = Info(version="1.2.3", labels=LABELS)
STATE = {
    "maskwatch/door/available",
    "maskwatch/door/info",
    "maskwatch/door/stats",
    "maskwatch/door/camera/hall/status",
    "maskwatch/door/camera/hall/people",
    "homeassistant/device/maskwatch-door/config",
}


def configured(port: int, **sections: object) -> Config:
    mqtt = {"host": "127.0.0.1", "port": port, "reconnect_max_s": 1, **sections.pop("mqtt", {})}
    return load(
        None,
        {},
        {
            "device": {"name": "door"},
            "camera": [{"name": "hall", "source": "0"}],
            "stats": {"interval_s": 1},
            "spool": {"commit_every_s": 0.1},
            "mqtt": mqtt,
            **sections,
        },
    )


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path).start()
    yield broker
    broker.stop(signal.SIGKILL)


@pytest.fixture
def subscriber(broker):
    subscriber = Subscriber(broker.port).start()
    yield subscriber
    subscriber.stop()


@pytest.fixture
def reporters(tmp_path):
    """Start reporters that are closed at the end."""
    started: list[Reporter] = []

    def start(config: Config, folder: str = "state", **more: object) -> Reporter:
        reporter = Reporter(config, tmp_path / folder, INFO, **more)
        reporter.start()
        started.append(reporter)
        return reporter

    yield start
    for reporter in started:
        reporter.close()


def ids(subscriber: Subscriber) -> list[str]:
    return [json.loads(payload)["id"] for payload in subscriber.payloads("maskwatch/door/events/hall")]


def test_a_subscriber_sees_the_device_appear_report_and_go(broker, subscriber, reporters):
    reporter = reporters(configured(broker.port))
    reporter.camera_status("hall", "online")
    reporter.people("hall", {"with_mask": 2, "cannot_tell": 1})
    for number, kind in enumerate(("new", "update", "end")):
        reporter.event(visit(number, kind))
    reporter.stats(LoopFigures(frames=7), threshold=0.6)
    assert until(lambda: len(ids(subscriber)) == 3)
    assert until(lambda: subscriber.topics_heard() >= STATE)
    assert subscriber.last("maskwatch/door/available") == b"online"
    assert subscriber.last("maskwatch/door/camera/hall/status") == b"online"
    assert PeopleMessage.model_validate_json(subscriber.last("maskwatch/door/camera/hall/people")).total == 3
    assert InfoMessage.model_validate_json(subscriber.last("maskwatch/door/info")).version == "1.2.3"
    assert StatsMessage.model_validate_json(subscriber.last("maskwatch/door/stats")).frames == 7
    events = [EventMessage.model_validate_json(p) for p in subscriber.payloads("maskwatch/door/events/hall")]
    assert [event.type for event in events] == ["new", "update", "end"]
    assert [event.seq for event in events] == [1, 2, 3]
    started = time.monotonic()
    reporter.close()
    assert time.monotonic() - started < 2
    assert until(lambda: subscriber.last("maskwatch/door/available") == b"offline")


def test_who_comes_later_finds_the_retained_state_and_no_old_events(broker, subscriber, reporters):
    reporter = reporters(configured(broker.port))
    reporter.camera_status("hall", "dark")
    reporter.people("hall", {"with_mask": 1})
    reporter.stats(LoopFigures())
    reporter.event(visit(1))
    assert until(lambda: ids(subscriber) and subscriber.topics_heard() >= STATE)
    later = Subscriber(broker.port, name="later").start()
    assert until(lambda: later.topics_heard() >= STATE)
    assert later.topics_heard() == STATE
    assert all(heard.retain for heard in later.heard)
    later.stop()


def test_events_wait_for_a_broker_that_comes_later_and_keep_their_order(broker, subscriber, reporters):
    broker.stop()  # it keeps the subscriber's session
    reporter = reporters(configured(broker.port))
    for number in range(300):
        reporter.event(visit(number))
    assert until(lambda: reporter._health.report().reasons)
    broker.start()
    assert until(lambda: len(ids(subscriber)) >= 300)
    assert ids(subscriber) == [f"visit-{number}" for number in range(300)]


class Travelling(SystemClock):
    """Takes jumps: `slept_s` of running time, `wrong_s` of the wall clock alone."""

    slept_s = wrong_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.slept_s

    def utc(self) -> float:
        return super().utc() + self.slept_s + self.wrong_s


def test_a_broker_that_is_away_for_an_hour_while_the_clock_is_moved_gets_every_event(broker, subscriber, reporters):
    clock = Travelling()
    reporter = reporters(configured(broker.port), clock=clock)
    reporter.event(visit(0))
    assert until(lambda: ids(subscriber) == ["visit-0"])
    broker.stop()
    for number, (slept_s, wrong_s) in enumerate([(0, 0), (1800, -20 * 365 * 86_400), (3600, 9 * 365 * 86_400)], 1):
        clock.slept_s, clock.wrong_s = slept_s, wrong_s
        reporter.event(visit(number))
        assert until(lambda: reporter._spool.state().unwritten == 0)
    broker.start()
    assert until(lambda: len(set(ids(subscriber))) == 4)
    heard = [EventMessage.model_validate_json(p) for p in subscriber.payloads("maskwatch/door/events/hall")]
    events = list({event.id: event for event in heard}.values())  # a broker that stops may send its last one again
    assert [(event.id, event.seq) for event in events] == [(f"visit-{n}", n + 1) for n in range(4)]
    assert events[3].monotonic_s - events[1].monotonic_s < 60, "a clock of the boot, which nobody moved"
    assert reporter._spool.state().dropped == {}


def test_a_slow_way_to_the_broker_holds_up_nobody_and_loses_nothing(broker, subscriber, reporters):
    with slow_road(broker.port, bytes_per_s=20_000) as port:
        reporter = reporters(configured(port))
        assert until(lambda: reporter._outlet.is_up)
        used_s = time.thread_time()
        for number in range(200):  # some 130 KB
            reporter.event(visit(number))
        assert time.thread_time() - used_s < 2
        assert reporter._spool.state().events > 100
        assert until(lambda: len(ids(subscriber)) >= 200, 60)
        assert ids(subscriber) == [f"visit-{number}" for number in range(200)]
        assert reporter._outlet.counts[0] == 1
        reporter.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_broker_that_is_restarted_gets_every_event(broker, subscriber, reporters, how):
    reporter = reporters(configured(broker.port))
    reporter.camera_status("hall", "online")
    for number in range(20):
        reporter.event(visit(number))
    assert until(lambda: len(set(ids(subscriber))) == 20)
    broker.save()
    broker.stop(how)
    for number in range(20, 60):
        reporter.event(visit(number))
    assert until(lambda: not reporter._outlet.is_up)
    broker.start()
    assert until(lambda: len(set(ids(subscriber))) == 60)
    assert list(dict.fromkeys(ids(subscriber))) == [f"visit-{number}" for number in range(60)]
    assert until(lambda: subscriber.last("maskwatch/door/available") == b"online")
    assert until(lambda: subscriber.last("maskwatch/door/camera/hall/status") == b"online")


def test_no_broker_is_said_once_and_is_a_reason_for_degraded_health(reporters, caplog):
    health = Health()
    reporter = reporters(configured(free_port()), health=health)
    assert until(lambda: health.report().reasons)
    assert "cannot be reached" in health.report().reasons[0]
    time.sleep(2.5)
    assert [record.message for record in caplog.records if "cannot be reached" in record.message].__len__() == 1
    started = time.monotonic()
    reporter.close()
    assert time.monotonic() - started < 2


def test_a_server_that_accepts_and_never_answers_is_left_and_tried_again(reporters, monkeypatch):
    monkeypatch.setattr("edge_agent.mqtt.ANSWER_WITHIN_S", 0.5)
    health, port = Health(), free_port()
    with listening(port, lambda connection: None) as times:
        reporter = reporters(configured(port), health=health)
        reporter.event(visit(1))
        assert until(lambda: len(times) >= 2)
        assert "does not answer" in health.report().reasons[0]
        started = time.monotonic()
        reporter.close()
        assert time.monotonic() - started < 2.5
    assert reporter._spool.state().events == 1


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x03\x00\x86\x00", b"\xff" * 50, b"\x20\x00"]
)
def test_a_server_that_sends_something_else_is_no_crash(reporters, garbage):
    health, port = Health(), free_port()
    with listening(port, lambda connection: connection.sendall(garbage)) as times:
        reporter = reporters(configured(port), health=health)
        assert until(lambda: times and health.report().reasons)
        reporter.event(visit(1))
        assert reporter._outlet._link._thread.is_alive()


def test_a_broker_that_hangs_does_not_hold_up_the_end(broker, reporters):
    reporter = reporters(configured(broker.port))
    assert until(lambda: reporter._outlet.is_up)
    broker.tell(signal.SIGSTOP)
    reporter.event(visit(1))
    started = time.monotonic()
    reporter.close()
    assert time.monotonic() - started < 2.5


def test_a_broker_that_hangs_for_a_while_gets_every_event(broker, subscriber, reporters):
    reporter = reporters(configured(broker.port, mqtt={"keepalive_s": 5}))
    assert until(lambda: reporter._outlet.is_up)
    broker.tell(signal.SIGSTOP)
    for number in range(100):
        reporter.event(visit(number))
    time.sleep(1)
    broker.tell(signal.SIGCONT)
    assert until(lambda: len(set(ids(subscriber))) == 100)
    assert list(dict.fromkeys(ids(subscriber))) == [f"visit-{number}" for number in range(100)]


def test_a_wrong_password_is_named_and_the_right_one_connects(tmp_path, reporters):
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", passwords, "door", "right"], check=True)
    (tmp_path / "pw").write_text("wrong\n")
    broker = Broker(tmp_path, f"allow_anonymous false\npassword_file {passwords}").start()
    health = Health()
    account = {"username": "door", "password_file": str(tmp_path / "pw")}
    reporter = reporters(configured(broker.port, mqtt=account), health=health)
    assert until(lambda: health.report().reasons)
    assert "check mqtt.username" in health.report().reasons[0]
    (tmp_path / "pw").write_text("right\n")
    assert until(lambda: reporter._outlet.is_up)
    reporter.close()
    broker.stop()


def test_the_broker_publishes_offline_when_the_agent_is_cut_off(broker, subscriber, reporters):
    reporter = reporters(configured(broker.port))
    assert until(lambda: subscriber.last("maskwatch/door/available") == b"online")
    reporter._outlet._link._client.socket().shutdown(2)  # as a pulled cable ends: no DISCONNECT
    assert until(lambda: b"offline" in subscriber.payloads("maskwatch/door/available"))
    assert until(lambda: subscriber.last("maskwatch/door/available") == b"online")


def test_two_agents_of_one_name_do_not_kick_each_other(broker, reporters):
    first = reporters(configured(broker.port), "state-a")
    second = reporters(configured(broker.port), "state-b")
    assert until(lambda: first._outlet.is_up and second._outlet.is_up)
    time.sleep(1)
    assert first._outlet.counts[0] == second._outlet.counts[0] == 1


def test_a_client_with_our_id_makes_us_take_another_also_where_the_broker_does_not_say_so(broker, reporters):
    reporter = reporters(configured(broker.port))
    assert until(lambda: reporter._outlet.is_up)
    ours = reporter._outlet._link._client_id
    intruder = Subscriber(broker.port, name=ours).start()
    assert until(lambda: reporter._outlet._link._client_id != ours and reporter._outlet.is_up)
    assert until(intruder.client.is_connected)
    connects = reporter._outlet.counts[0]
    assert connects <= 3
    time.sleep(1)
    assert reporter._outlet.is_up
    assert intruder.client.is_connected()
    assert reporter._outlet.counts[0] == connects
    intruder.stop()


def test_a_broker_that_says_that_our_id_is_taken_sees_another_one_next(reporters):
    port, ids_seen = free_port(), []

    def take_over(connection):
        ids_seen.append(re.search(rb"maskwatch-door-[0-9a-f-]+", connection.recv(4096)).group())
        connection.sendall(b"\x20\x03\x00\x00\x00" + b"\xe0\x02\x8e\x00")  # CONNACK, DISCONNECT: session taken over

    with listening(port, take_over):
        reporters(configured(port))
        assert until(lambda: len(ids_seen) >= 2)
    assert ids_seen[1].startswith(ids_seen[0] + b"-")


def test_a_topic_that_could_not_be_removed_while_the_broker_was_away_is_removed_later(broker, subscriber, reporters):
    two = configured(broker.port, camera=[{"name": "hall", "source": "0"}, {"name": "back", "source": "1"}])
    reporter = reporters(two)
    reporter.camera_status("back", "online")
    assert until(lambda: subscriber.last("maskwatch/door/camera/back/status") == b"online")
    reporter.close()
    broker.stop()
    for _ in range(2):
        reporters(configured(broker.port)).close()
    broker.start()
    last = reporters(configured(broker.port))
    assert until(lambda: subscriber.last("maskwatch/door/camera/back/status") == b"")
    assert until(lambda: not any("/back/" in topic for topic in last._outlet._published.topics))
    last.close()
    broker.stop()
    broker.start()
    reporters(configured(broker.port))
    assert until(lambda: subscriber.last("maskwatch/door/available") == b"online")
    assert len([heard for heard in subscriber.heard if "/back/" in heard.topic and not heard.payload]) == 2


def test_a_message_of_megabytes_is_held_back_by_the_broker_and_others_arrive(broker, subscriber, reporters):
    reporter = reporters(configured(broker.port))
    assert until(lambda: reporter._outlet.is_up)
    subscriber.send("maskwatch/door/cmd", b"x" * 5_000_000)
    subscriber.send("maskwatch/door/cmd", b"x" * 50_000)
    subscriber.send("maskwatch/door/cmd", '{"action": "pause"}')
    assert until(lambda: reporter.next_order())
    assert reporter._commands.refused == {"malformed": 1}
    assert reporter._outlet.counts[0] == 1


def test_the_end_of_a_camera_removes_its_topics_and_entities(broker, subscriber, reporters):
    two = configured(broker.port, camera=[{"name": "hall", "source": "0"}, {"name": "back", "source": "1"}])
    reporter = reporters(two)
    reporter.camera_status("back", "online")
    assert until(lambda: subscriber.last("maskwatch/door/camera/back/status") == b"online")
    reporter.close()
    reporters(configured(broker.port))
    assert until(lambda: subscriber.last("maskwatch/door/camera/back/status") == b"")
    assert until(lambda: subscriber.payloads("homeassistant/device/maskwatch-door/config").__len__() >= 2)
    discovery = json.loads(subscriber.last("homeassistant/device/maskwatch-door/config"))
    assert discovery["cmps"]["back_status"] == {"p": "sensor"}
    assert "state_topic" in discovery["cmps"]["hall_status"]


def test_home_assistants_birth_brings_discovery_again_and_a_retained_one_does_not(broker, subscriber, reporters):
    reporters(configured(broker.port, mqtt={"homeassistant": {"birth_jitter_s": 0.2}}))
    topic = "homeassistant/device/maskwatch-door/config"
    assert until(lambda: len(subscriber.payloads(topic)) == 1)
    subscriber.send("homeassistant/status", "online")
    assert until(lambda: len(subscriber.payloads(topic)) == 2)
    subscriber.send("homeassistant/status", "offline")
    time.sleep(0.7)
    assert len(subscriber.payloads(topic)) == 2
