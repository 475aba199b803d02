"""Commands and reloads on an agent with real stages; its networks are fakes whose answers are known."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.about import info_of
from edge_agent.agent import Agent
from edge_agent.commands import Order
from edge_agent.config import Config, load
from edge_agent.lane import Lane
from edge_agent.messages import Command
from edge_agent.orders import Orders
from edge_agent.predictor import FaceMaskPredictor
from faked_agent import faked_agent, walking_clip
from fakes import BrightSquares, ByColour

CONFIG = """
[[camera]]
name = "hall"
source = "{clip}"
[[camera]]
name = "yard"
source = "{clip}"
[decide]
min_evidence_s = 0.1
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    walking_clip(tmp_path / "clip.avi", 40)
    with faked_agent(tmp_path, CONFIG.format(clip=tmp_path / "clip.avi")) as made:
        yield made


def reader(folder: Path) -> Callable[[], Config]:
    return lambda: load(folder / "agent.toml", env={})


def order(action: str, **args: object) -> Order:
    return Order(Command.model_validate({"id": "1", "action": action, "args": args}))


def test_two_cameras_are_counted_together_each_in_its_turn(agent: Agent) -> None:
    summary = agent.run()
    assert summary["frames"] == 80
    assert {name: camera["frames"] for name, camera in summary["cameras"].items()} == {"hall": 40, "yard": 40}
    assert summary["people"] == {"with_mask": 2, "without_mask": 0, "mask_weared_incorrect": 0}


def test_a_paused_camera_is_not_looked_at_and_the_others_are(agent: Agent, tmp_path: Path) -> None:
    orders = Orders(agent, reader(tmp_path))
    assert orders.carry_out(order("pause", camera="hall")) == (True, "paused")
    orders.obey()
    assert "camera hall is paused by command" in agent.parts.health.report().reasons
    summary = agent.run()
    assert summary["people"]["with_mask"] == 1
    assert agent.parts.lanes["yard"].decider.ended["with_mask"] == 0, "taken into the sum when the source ended"


def test_resume_ends_a_pause(agent: Agent, tmp_path: Path) -> None:
    orders = Orders(agent, reader(tmp_path))
    orders.carry_out(order("pause"))
    assert orders.carry_out(order("resume")) == (True, "resumed")
    assert agent.run()["people"]["with_mask"] == 2


def test_a_pause_for_a_while_ends_by_itself_and_health_says_so(agent: Agent, tmp_path: Path) -> None:
    orders = Orders(agent, reader(tmp_path))
    assert orders.carry_out(order("pause", for_s=0.05)) == (True, "paused for 0.05 s")
    orders.obey()
    time.sleep(0.1)
    assert agent.parts.health.report().state == "degraded"
    orders.obey()
    assert agent.parts.health.report().state == "ok"


def test_a_threshold_that_nobody_reaches_makes_every_visit_one_that_cannot_be_told(
    agent: Agent, tmp_path: Path
) -> None:
    orders = Orders(agent, reader(tmp_path))
    assert orders.carry_out(order("set_threshold", threshold=1.0))[0]
    summary = agent.run()
    assert summary["people"]["with_mask"] == 0
    assert summary["cannot_tell"] == 2


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (order("pause", camera="attic"), "there is no camera attic; known: hall, yard"),
        (order("set_threshold"), "args.threshold is missing"),
        (order("snapshot"), "mqtt.snapshots"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_what_would_do(
    agent: Agent, tmp_path: Path, wanted: Order, words: str
) -> None:
    ok, said = Orders(agent, reader(tmp_path)).carry_out(wanted)
    assert not ok
    assert words in said


@pytest.mark.parametrize(
    ("text", "says"),
    [("[[camera]]\nnmae = 'x'", "nmae"), ("[[camera]]\nname = 'b'\nsource = 'rtsp://[bad'", "names no host")],
)
def test_a_broken_configuration_is_refused_and_the_old_one_runs_on(
    agent: Agent, tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "agent.toml").write_text(text)
    orders = Orders(agent, reader(tmp_path), make_predictor=lambda config: agent.parts.predictor)
    ok, said = orders.carry_out(order("reload"))
    assert not ok
    assert says in said
    assert any("reload refused" in reason for reason in agent.parts.health.report().reasons)
    assert agent.run()["people"]["with_mask"] == 2


class InGerman(ByColour):
    """The same network under other labels."""

    labels = ("Maske", "ohne", "falsch")


def test_a_reload_to_other_labels_goes_on_under_these_and_keeps_what_was_counted(agent: Agent, tmp_path: Path) -> None:
    config = agent.parts.config
    german = FaceMaskPredictor(config, detector=BrightSquares(), classifier=InGerman())
    orders = Orders(agent, reader(tmp_path), make_predictor=lambda config: german)
    came = halfway(agent, orders)
    summary = agent.run()
    assert came == [True]
    assert summary["people"] == {"Maske": 2, "ohne": 0, "falsch": 0, "with_mask": 2}
    assert agent.parts.web.labels == InGerman.labels
    agent.parts.recorder.close()
    about = [json.loads(path.read_text()) for path in (tmp_path / "snapshots").rglob("*.json")]
    assert sorted(one["label"] for one in about) == ["Maske", "Maske", "with_mask", "with_mask"]
    assert all(one["label"] == max(one["probabilities"], key=one["probabilities"].get) for one in about)


def test_a_reload_takes_cameras_away_and_brings_new_ones(agent: Agent, tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    (tmp_path / "agent.toml").write_text(
        f"[[camera]]\nname = 'hall'\nsource = '{clip}'\n[[camera]]\nname = 'door'\nsource = '{clip}'\n"
        "[mqtt]\nkeepalive_s = 60\n[decide]\nmin_evidence_s = 0.1\n"
    )
    orders = Orders(agent, reader(tmp_path), make_predictor=lambda config: agent.parts.predictor)
    ok, said = orders.carry_out(order("reload"))
    assert ok
    assert "restart for changes in mqtt" in said
    assert list(agent.parts.lanes) == ["hall", "door"]
    assert agent.run()["people"]["with_mask"] == 2
    assert 'camera="yard"' not in agent.parts.metrics.text().decode()


def halfway(agent: Agent, orders: Orders) -> list[bool]:
    """Have the agent reload once somebody is in view of both cameras; what came of it."""
    came: list[bool] = []

    def reload_once(_lane: Lane) -> None:
        if not came and all(sum(lane.decider.in_view().values()) for lane in agent.parts.lanes.values()):
            came.append(orders.carry_out(order("reload"))[0])

    agent.on_progress = reload_once
    return came


@pytest.mark.parametrize(
    ("before", "after", "visits"),
    [
        ("", "", 2),
        ("", "[liveness]\nfrozen_after_s = 60\n[motion]\nheartbeat_s = 2\n[stats]\ninterval_s = 5\n", 2),
        ('name = "yard"', 'name = "yard"\nmax_fps = 50', 3),
        ("min_evidence_s = 0.1", "min_evidence_s = 0.2", 4),
    ],
    ids=["nothing changed", "other sections changed", "one camera changed", "the way people are judged changed"],
)
def test_who_is_in_view_over_a_reload_is_counted_once_unless_his_camera_changed(
    agent: Agent, tmp_path: Path, before: str, after: str, visits: int
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(path.read_text().replace(before, after) if before else path.read_text() + after)
    came = halfway(agent, Orders(agent, reader(tmp_path), make_predictor=lambda _: agent.parts.predictor))
    assert agent.run()["people"]["with_mask"] == visits
    assert came == [True]


def test_a_reload_ends_a_threshold_by_command_and_no_visit(agent: Agent, tmp_path: Path) -> None:
    def made_anew(config: Config) -> FaceMaskPredictor:
        return FaceMaskPredictor(config, detector=BrightSquares(), classifier=ByColour())

    orders = Orders(agent, reader(tmp_path), made_anew)
    orders.carry_out(order("set_threshold", threshold=1.0))
    orders.carry_out(order("reload"))
    assert agent.run()["people"]["with_mask"] == 2


def test_what_waits_for_a_restart_is_said_until_it_is_in_force_or_taken_back(agent: Agent, tmp_path: Path) -> None:
    orders = Orders(agent, reader(tmp_path), make_predictor=lambda _: agent.parts.predictor)
    path, started = tmp_path / "agent.toml", agent.parts.config
    before = path.read_text()
    path.write_text(before + "[privacy]\npictures = 'full'\n[mqtt]\nsnapshots = true\n[stats]\ninterval_s = 5\n")
    for _ in range(2):
        assert orders.carry_out(order("reload")) == (True, "in use; restart for changes in mqtt, privacy")
        assert (agent.parts.config.privacy, agent.parts.config.mqtt) == (started.privacy, started.mqtt)
        assert agent.parts.config.stats.interval_s == 5
    path.write_text(before)
    assert orders.carry_out(order("reload")) == (True, "in use")
    assert info_of(agent.parts.config, agent.parts.predictor) == info_of(started, agent.parts.predictor)


@pytest.mark.parametrize("for_s", [None, 600.0])
def test_a_pause_outlasts_a_reload_that_changes_its_camera(agent: Agent, tmp_path: Path, for_s: float | None) -> None:
    orders = Orders(agent, reader(tmp_path), make_predictor=lambda _: agent.parts.predictor)
    path = tmp_path / "agent.toml"
    path.write_text(path.read_text().replace('name = "yard"', 'name = "yard"\nmax_fps = 50'))
    orders.carry_out(order("pause", camera="yard", for_s=for_s))
    assert orders.carry_out(order("reload")) == (True, "in use")
    orders.obey()
    assert "camera yard is paused by command" in agent.parts.health.report().reasons
    assert agent.run()["people"]["with_mask"] == 1


def test_a_pause_for_a_while_ends_when_it_was_to_end_whatever_is_reloaded(agent: Agent, tmp_path: Path) -> None:
    orders = Orders(agent, reader(tmp_path), make_predictor=lambda _: agent.parts.predictor)
    path = tmp_path / "agent.toml"
    path.write_text(path.read_text().replace('name = "yard"', 'name = "yard"\nmax_fps = 50'))
    orders.carry_out(order("pause", for_s=1.0))
    orders.carry_out(order("reload"))
    assert all(lane.is_paused for lane in agent.parts.lanes.values())
    time.sleep(1.1)
    assert not any(lane.is_paused for lane in agent.parts.lanes.values())
    assert agent.run()["people"]["with_mask"] == 2
