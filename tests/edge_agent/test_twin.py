"""A predictor for another thread is what the agent's is now, and is made no more often than that asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_agent.classify import SHIPPED
from edge_agent.config import Config
from edge_agent.errors import ModelError
from edge_agent.model_file import load, pack
from edge_agent.predictor import FaceMaskPredictor
from edge_agent.twin import Twin
from fakes import BrightSquares, ByColour


def made_of(config: Config) -> FaceMaskPredictor:
    return FaceMaskPredictor(config, detector=BrightSquares(), classifier=ByColour())


def with_threshold(threshold: float) -> FaceMaskPredictor:
    return made_of(Config.model_validate({"classifier": {"threshold": threshold}}))


def test_it_is_made_when_it_is_asked_for_and_once_for_each_predictor_of_the_agent() -> None:
    agents, made = [with_threshold(0.6)], []

    def make(config: Config) -> FaceMaskPredictor:
        made.append(config)
        return made_of(config)

    twin = Twin(lambda: agents[-1], make)
    assert made == []
    first = twin.now()
    assert twin.now() is first is not agents[-1]
    agents.append(with_threshold(0.8))
    assert twin.now() is twin.now() is not first
    assert made == [one.config for one in agents]
    assert len(twin.predict(np.full((60, 60, 3), 255, np.uint8), "white").faces) == 1


def test_a_threshold_by_command_is_its_threshold_too_until_the_reload() -> None:
    agents = [with_threshold(0.6)]
    twin = Twin(lambda: agents[-1], made_of)
    assert twin.now().threshold == 0.6
    agents[-1].threshold = 0.9
    assert twin.now().threshold == 0.9
    agents.append(with_threshold(0.6))
    assert twin.now().threshold == 0.6


def test_where_it_cannot_be_made_the_old_one_does_not_answer_and_the_next_call_tries_again() -> None:
    agents, gone = [with_threshold(0.6)], [False]

    def make(config: Config) -> FaceMaskPredictor:
        if gone[0]:
            raise ModelError("classifier.tflite is truncated; install it again")
        return made_of(config)

    twin = Twin(lambda: agents[-1], make)
    twin.now()
    agents.append(with_threshold(0.8))
    gone[0] = True
    for _ in range(2):
        with pytest.raises(ModelError):
            twin.now()
    gone[0] = False
    assert twin.now().threshold == 0.8


def test_a_model_file_that_was_replaced_is_not_used_before_the_reload(tmp_path: Path) -> None:
    path, model = tmp_path / "classifier.tflite", load(SHIPPED)
    path.write_bytes(SHIPPED.read_bytes())
    agents = [FaceMaskPredictor(Config.model_validate({"classifier": {"model": str(path)}}))]
    newer = model.manifest.model_copy(update={"version": "99.0.0"})
    path.write_bytes(pack(model.flatbuffer, newer, model.golden))
    twin = Twin(lambda: agents[-1])
    with pytest.raises(ModelError, match="replaced after the agent opened it; reload"):
        twin.now()
    agents.append(FaceMaskPredictor(agents[-1].config))
    assert twin.now().model_info() == agents[-1].model_info()
    assert twin.now().model_info()["classifier"]["manifest"]["version"] == "99.0.0"
