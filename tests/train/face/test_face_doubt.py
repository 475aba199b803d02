"""When the figures of val say that a face branch tells nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_agent.model_file.manifest import FacePart
from train.face.doubt import doubt
from train.face.examples import Examples
from train.face.fit import thresholds

WEIGHTS = Path(__file__).parents[3] / "train" / "weights" / "model.json"


def measured(none: int, boxes: int, lost: int, faces: int) -> dict[str, dict[str, float]]:
    names = ("of_them_none_half_score", "boxes_without_face_half_score", "faces_none", "faces")
    return {"metrics": dict(zip(names, map(float, (none, boxes, lost, faces)), strict=True))}


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ((5, 222, 10, 933), "takes 5 of 222 boxes without a face and 10 of 933 faces of val for none: no better than"),
        ((0, 222, 10, 933), ": it leaves nothing out"),
        ((222, 222, 933, 933), ": nearly nobody would be counted"),
        ((0, 0, 10, 933), "val has no box without a face, so nothing shows what it is worth"),
        ((2, 3, 1, 2), ": no better than chance"),
    ],
)
def test_a_branch_that_tells_nothing_is_doubted_with_its_figures(figures: tuple[int, ...], says: str) -> None:
    assert says in doubt(measured(*figures))


@pytest.mark.parametrize("figures", [(186, 222, 10, 933), (12, 222, 10, 933), (3, 3, 10, 933)])
def test_a_branch_that_tells_something_is_not(figures: tuple[int, ...]) -> None:
    assert doubt(measured(*figures)) == ""


@pytest.mark.parametrize("entry", [None, {}, {"metrics": None}, {"metrics": {"faces": "many"}}, {"metrics": [1]}])
def test_without_figures_there_is_nothing_to_doubt(entry: object) -> None:
    assert doubt(entry) == ""


def test_the_branch_that_ships_tells_something() -> None:
    assert doubt(json.loads(WEIGHTS.read_text())["face"]) == ""


@pytest.mark.parametrize("same", [0.49961, 0.4996, 0.99996, 1.0, 0.0])
def test_a_branch_that_says_the_same_of_everything_is_doubted_and_its_thresholds_are_in_range(same: float) -> None:
    faces = np.array([True] * 200 + [False] * 50)
    examples = Examples(np.zeros((250, 4, 4, 3), np.uint8), faces, np.full(250, 0.9, np.float32), np.zeros(250, bool))
    figures = thresholds(np.full(250, same, np.float32), examples, 0.5, 0.01, 0.05)
    part = FacePart(none_below=figures.pop("none_below"), sure_from=figures.pop("sure_from"))
    left_out = same < part.none_below
    assert figures["faces_none"] == 200 * left_out, "as the device reads it, which has the rounded threshold"
    assert ("nearly nobody would be counted" if left_out else "leaves nothing out") in doubt({"metrics": figures})
