"""Commands over a real broker: carried out once, answered, refused when they are stale, retained or hostile."""

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker_support import Broker, Subscriber, until
from edge_agent.config import load
from edge_agent.messages import CommandResult, Info
from edge_agent.report import Reporter

COMMAND = "maskwatch/door/cmd"
RESULT = "maskwatch/door/cmd/result"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = Broker(tmp_path_factory.mktemp("broker")).start()
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def reporter(broker, tmp_path_factory):
    config = load(
        None,
        {},
        {
            "device": {"name": "door"},
            "camera": [{"name": "hall", "source": "0"}],
            "mqtt": {"host": "127.0.0.1", "port": broker.port, "snapshots": True},
        },
    )
    reporter = Reporter(config, tmp_path_factory.mktemp("state"), Info(version="1", labels=("with_mask",)))
    reporter.start()
    assert until(lambda: reporter._outlet.is_up)
    yield reporter
    reporter.close()


@pytest.fixture
def asker(broker, request):
    # a name of its own: a session would bring the answers of the test before
    name = f"asker-{abs(hash(request.node.name))}"
    asker = Subscriber(broker.port, topics=("maskwatch/door/#", "answers/#"), name=name).start()
    yield asker
    asker.stop()


def order_of(reporter, within_s: float = 20):
    found = []
    assert until(lambda: found or found.extend(filter(None, [reporter.next_order()])), within_s)
    return found[0]


def test_a_command_reaches_the_loop_and_its_answer_the_sender(reporter, asker):
    asker.send(COMMAND, '{"id": "a1", "action": "set_threshold", "args": {"threshold": 0.7}}')
    order = order_of(reporter)
    assert (order.command.action, order.command.args.threshold) == ("set_threshold", 0.7)
    reporter.answer(order, True, "threshold is 0.7")
    assert until(lambda: asker.last(RESULT))
    result = CommandResult.model_validate_json(asker.last(RESULT))
    assert (result.id, result.ok, result.message) == ("a1", True, "threshold is 0.7")


def test_the_answer_goes_where_mqtt_5_says_with_its_correlation(reporter, asker):
    asker.send(COMMAND, '{"id": "b1", "action": "pause"}', ResponseTopic="answers/me", CorrelationData=b"\x00\x01")
    reporter.answer(order_of(reporter), True, "paused")
    assert until(lambda: asker.last("answers/me"))
    heard = next(heard for heard in asker.heard if heard.topic == "answers/me")
    assert heard.properties.CorrelationData == b"\x00\x01"
    assert json.loads(heard.payload)["id"] == "b1"


def test_a_command_that_comes_twice_is_carried_out_once_and_answered_twice(reporter, asker):
    asker.send(COMMAND, '{"id": "c1", "action": "pause"}', ResponseTopic="answers/twice")
    reporter.answer(order_of(reporter), True, "paused")
    asker.send(COMMAND, '{"id": "c1", "action": "pause"}', ResponseTopic="answers/twice")
    assert until(lambda: len(asker.payloads("answers/twice")) == 2)
    assert len(set(asker.payloads("answers/twice"))) == 1
    assert reporter.next_order() is None


def test_a_retained_command_is_ignored_and_counted(reporter, asker):
    before = reporter._commands.refused["retained"]
    asker.send(COMMAND, '{"action": "pause"}', retain=True)
    assert until(lambda: reporter._commands.refused["retained"] == before + 1)
    assert reporter.next_order() is None
    asker.send(COMMAND, "", retain=True)


def test_a_command_past_its_expiry_is_refused_with_a_reason(reporter, asker):
    asker.send(COMMAND, '{"id": "d1", "action": "pause", "expires_at": "2020-01-01T00:00:00Z"}')
    assert until(lambda: b'"d1"' in (asker.last(RESULT) or b""))
    assert json.loads(asker.last(RESULT))["ok"] is False
    assert "expired" in json.loads(asker.last(RESULT))["message"]


def test_a_command_that_expired_at_the_broker_never_arrives(broker, tmp_path, asker):
    config = load(None, {}, {"device": {"name": "late"}, "mqtt": {"host": "127.0.0.1", "port": broker.port}})
    first = Reporter(config, tmp_path, Info(version="1"))
    first.start()
    assert until(lambda: first._outlet.is_up)
    first.close()
    asker.send("maskwatch/late/cmd", '{"id": "stale", "action": "pause"}', MessageExpiryInterval=1)
    asker.send("maskwatch/late/cmd", '{"id": "fresh", "action": "pause"}', MessageExpiryInterval=600)
    time.sleep(2.5)
    second = Reporter(config, tmp_path, Info(version="1"))
    second.start()
    assert order_of(second).command.id == "fresh"
    assert second.next_order() is None
    second.close()


def test_too_many_commands_at_once_are_refused_and_the_rest_kept(reporter, asker):
    for number in range(20):
        asker.send(COMMAND, json.dumps({"id": f"e{number}", "action": "pause"}))
    assert until(lambda: reporter._commands.refused["busy"] == 4)
    assert until(lambda: b"wait already" in (asker.last(RESULT) or b""))
    while reporter.next_order() is not None:
        pass


@pytest.mark.parametrize("topic", ["a/#", "a/+", "$SYS/x", "x" * 300])
def test_an_answer_never_goes_to_a_topic_that_cannot_or_should_not_be_written(reporter, asker, topic):
    from edge_agent.commands import is_fit_for_answers

    assert not is_fit_for_answers(topic)


@given(payload=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_payload_is_refused_without_harm(reporter, payload):
    from edge_agent.mqtt_client import Inbound

    reporter._command_came(Inbound(COMMAND, payload, False, "answers/fuzz", None))
    assert reporter.next_order() is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    data=st.fixed_dictionaries(
        {},
        optional={
            "id": json_values,
            "action": st.sampled_from(["pause", "resume", "snapshot", "set_threshold", "reload"]) | json_values,
            "args": st.fixed_dictionaries({}, optional={"camera": json_values, "threshold": json_values}) | json_values,
            "expires_at": json_values | st.datetimes().map(str),
            "more": json_values,
        },
    )
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_an_order_or_is_refused_and_counted(reporter, data):
    from edge_agent.mqtt_client import Inbound

    refused = sum(reporter._commands.refused.values())
    reporter._command_came(Inbound(COMMAND, json.dumps(data).encode(), False))
    order = reporter.next_order()
    assert order is not None or sum(reporter._commands.refused.values()) == refused + 1
    if order is not None:
        assert order.command.args.threshold is None or 0 <= order.command.args.threshold <= 1
