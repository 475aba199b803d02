import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge_agent.config import LivenessConfig
from edge_agent.liveness import Liveness
from edge_agent.records import U8, Frame

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from liveness import delay_s, false_alarms, faults, stream

CONFIG = LivenessConfig()
# Longest accepted delay after the fault, seconds; benchmarks/liveness.py measures them, docs/people.md states them
DELAYS_S = {
    "no picture": 3.5,
    "no picture for long": 15.5,
    "the same picture": 11.0,
    "light out": 6.5,
    "hand over the lens": 6.5,
    "out of focus": 6.5,
    "turned by a quarter of the view": 12.0,
}


def frame(bgr: U8, at_s: float) -> Frame:
    return Frame("c", int(at_s * 10), at_s, 0.0, bgr)


@pytest.mark.parametrize("name", list(DELAYS_S))
def test_each_fault_is_named_within_its_delay_and_not_before(name: str) -> None:
    expected, fault = faults(1)[name]
    delay, before = delay_s(1, expected, fault, CONFIG)
    assert delay is not None
    assert delay <= DELAYS_S[name]
    assert set(before) == {"online"}


def test_a_quiet_room_raises_no_alarm() -> None:
    assert set(false_alarms(stream(3, 90, None, people=0), CONFIG)) == {"online"}


def test_a_crowd_before_the_camera_raises_no_alarm() -> None:
    assert set(false_alarms(stream(4, 90, None, people=12), CONFIG)) == {"online"}


def test_a_fault_that_ends_is_online_again() -> None:
    liveness = Liveness(CONFIG)
    statuses = []
    for at_s, bgr in stream(2, 40, None):
        shown = np.zeros_like(bgr) if 15 <= at_s < 28 else bgr
        statuses.append(liveness.observe(frame(shown, at_s), at_s))
    assert statuses[-1] == "online"
    assert Counter(statuses)["dark"] > 0


def test_a_source_that_says_offline_is_offline_at_once() -> None:
    liveness = Liveness(CONFIG)
    liveness.observe(frame(np.full((90, 160, 3), 90, np.uint8), 0.0), 0.0)
    assert liveness.observe(None, 0.2, "offline") == "offline"


def test_a_camera_that_never_gave_a_picture_is_stalled_then_offline() -> None:
    liveness = Liveness(CONFIG)
    assert [liveness.observe(None, at_s) for at_s in (0.0, 2.9, 3.0, 15.0)] == [
        "online",
        "online",
        "stalled",
        "offline",
    ]


def test_a_new_view_is_accepted_in_the_end() -> None:
    config = LivenessConfig(accept_view_after_s=15)
    fault = faults(1)["turned by a quarter of the view"][1]
    liveness, statuses = Liveness(config), []
    for at_s, bgr in stream(1, 65, fault):
        assert bgr is not None
        statuses.append(liveness.observe(frame(bgr, at_s), at_s))
    assert "moved" in statuses
    assert statuses[-1] == "online"
