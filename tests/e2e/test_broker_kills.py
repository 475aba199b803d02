"""The agent killed -9 at random moments while events flow: what was committed arrives, and nothing twice by id."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broker_support import Broker, Subscriber, until

AGENT = Path(__file__).with_name("reporting_agent.py")
KILLS = int(os.environ.get("MASKWATCH_KILLS", "10"))
STARTS_WITHIN_S = 180  # a busy machine is slow, and that is no mistake of the agent
DRAIN_WITHIN_S = 180


def start_agent(port: int, state_dir: Path, seconds: float) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(AGENT.parents[1]), str(AGENT.parents[2])])
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, AGENT, str(port), state_dir, "300", str(seconds), "0"]
    return subprocess.Popen([str(a) for a in arguments], env=env, stderr=subprocess.DEVNULL)


def committed(state_dir: Path) -> list[str]:
    log = state_dir / "committed.log"
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.timeout(300 + 60 * KILLS)
def test_every_committed_event_arrives_however_often_the_agent_is_killed(tmp_path):
    rng = random.Random(7)
    broker = Broker(tmp_path).start()
    subscriber = Subscriber(broker.port, topics=("maskwatch/door/events/#",)).start()
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    for kill in range(KILLS):
        away = kill % 3 == 2  # the broker is away while events are spooled, and comes back for the next round
        if away:
            broker.stop()
        agent = start_agent(broker.port, state_dir, 600)
        before = len(committed(state_dir))
        assert until(lambda before=before: len(committed(state_dir)) > before, STARTS_WITHIN_S)
        time.sleep(rng.uniform(0, 0.4))
        agent.send_signal(signal.SIGKILL)
        agent.wait(20)
        if away:
            broker.start()
    last = start_agent(broker.port, state_dir, 0)
    assert last.wait(DRAIN_WITHIN_S) == 0
    in_order = committed(state_dir)
    wanted = set(in_order)
    assert until(lambda: {json.loads(heard.payload)["message_id"] for heard in list(subscriber.heard)} >= wanted)
    heard = [heard.payload for heard in list(subscriber.heard)]
    by_id: dict[str, set[bytes]] = {}
    for payload in heard:
        by_id.setdefault(json.loads(payload)["message_id"], set()).add(payload)
    assert len(wanted) >= KILLS
    assert all(len(payloads) == 1 for payloads in by_id.values()), "one id, two different events"
    assert [message_id for message_id in by_id if message_id in wanted] == in_order
    twice = len(heard) - len(by_id)
    print(f"{KILLS} kills, {len(wanted)} committed, {len(by_id)} ids heard, {twice} sent again with the same id")
    subscriber.stop()
    broker.stop()
