from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.config import Config
from edge_agent.lane import Lane
from edge_agent.predictor import FaceMaskPredictor
from edge_agent.records import Frame
from fakes import BrightSquares, ByColour


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 80, 3), np.uint8))
    config = Config.model_validate({"camera": [{"name": "hall", "source": str(tmp_path)}]})
    predictor = FaceMaskPredictor(config, detector=BrightSquares(), classifier=ByColour())
    return Lane(config.camera[0], config, predictor)


def frame(index: int, level: int) -> Frame:
    return Frame("hall", index, float(index), 1e9 + index, np.full((60, 80, 3), level, np.uint8))


def test_a_picture_in_which_nobody_looked_for_faces_is_never_shown(lane: Lane) -> None:
    looked, not_looked = frame(0, 50), frame(1, 200)
    lane.show(looked, [], [])
    assert lane.judge_picture(looked)
    lane.status = "offline"
    assert lane.judge_picture(not_looked), "the camera is back while the agent is paused"
    assert lane.view.status == "online"
    assert lane.view.bgr is looked.bgr


def test_another_reason_for_the_same_status_is_a_change(lane: Lane) -> None:
    class Gone:
        status, live, problem, total_frames = "offline", True, "the stream ended", None

    lane.source = gone = Gone()  # type: ignore[assignment]
    lane.frames = 1
    assert lane.judge_picture(None)
    assert not lane.judge_picture(None)
    gone.problem = "nobody answers at that address"
    assert lane.judge_picture(None)
    assert (lane.status, lane.reason, lane.view.reason) == ("offline", gone.problem, gone.problem)
