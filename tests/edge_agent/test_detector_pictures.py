"""The pictures of what the detector finds and misses: scenes whose face is where they say."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import detector_pictures
from benchmarks.detector_pictures import TRIALS, Portrait, hidden, placed
from edge_agent.records import Box


def test_a_face_comes_out_as_wide_as_asked_and_where_its_box_is() -> None:
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[60:140, 120:180] = 255
    for width in (8, 30, 60, 120):
        scene, box = placed(Portrait(frame, Box(120, 60, 60, 80)), width)
        rows, columns = np.nonzero(scene[..., 0] > 127)
        bright = columns[(rows > 5) & (columns > 5)]
        assert box.w == pytest.approx(width)
        assert bright.max() - bright.min() + 1 == pytest.approx(width, abs=2)
        assert bright.mean() == pytest.approx(box.centre[0], abs=1)


def test_a_hidden_share_is_grey() -> None:
    portrait = Portrait(np.full((200, 300, 3), 255, np.uint8), Box(120, 60, 60, 80))
    scene, box = hidden(portrait, 0.5)
    row = scene[240, round(box.x) : round(box.x + box.w), 2]
    assert (row == 116).mean() == pytest.approx(0.5, abs=0.03)


def test_the_shipped_detector_finds_the_person_and_loses_the_worst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["detector_pictures", "--plot", str(tmp_path / "pictures.jpg")])
    detector_pictures.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 3 * len(TRIALS)
    assert not any(line.endswith("none") for line in lines)
    assert all(not line.endswith(" 0.7") for line in lines if line.startswith("hidden"))
    assert cv2.imread(str(tmp_path / "pictures.jpg")).shape[1] > 600
