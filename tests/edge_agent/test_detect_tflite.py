"""Raw maps of the detector become faces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.detect_tflite import Level, decode, levels_of, suppress
from edge_agent.errors import ModelError

WIDTH, HEIGHT = 96, 64
SHAPES = [
    (1, 2, 3, 4),
    (1, 8, 12, 1),
    (1, 8, 12, 4),
    (1, 4, 6, 1),
    (1, 4, 6, 4),
    (1, 2, 3, 1),
]


def silent_maps() -> list[np.ndarray]:
    return [np.full(shape, -9.0 if shape[3] == 1 else 0.0, np.float32) for shape in SHAPES]


def levels() -> list[Level]:
    return levels_of(SHAPES, WIDTH, HEIGHT)


def test_maps_pair_up_by_shape_whatever_their_order() -> None:
    assert [(level.stride, level.score_at, level.box_at) for level in levels()] == [(8, 1, 2), (16, 3, 4), (32, 5, 0)]
    assert levels()[0].centres[13].tolist() == [12.0, 12.0]


@pytest.mark.parametrize(
    "shapes",
    [[], [(1, 8, 12, 1)], [(1, 8, 12, 1), (1, 4, 6, 4)], [(1, 8, 12, 3), (1, 8, 12, 4)], [(1, 10), (1, 8, 12, 4)]],
)
def test_maps_without_a_partner_are_refused(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ModelError, match="export it again"):
        levels_of(shapes, WIDTH, HEIGHT)


def test_maps_that_do_not_tile_the_input_are_refused() -> None:
    with pytest.raises(ModelError, match="tile"):
        levels_of([(1, 8, 11, 1), (1, 8, 11, 4)], WIDTH, HEIGHT)


def test_silence_is_no_face() -> None:
    boxes, scores = decode(silent_maps(), levels(), 0.5)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)
    assert suppress(boxes, scores, 0.5) == []


@given(
    x=st.floats(0, WIDTH - 1),
    y=st.floats(0, HEIGHT - 1),
    w=st.floats(4, 90),
    h=st.floats(4, 90),
    at=st.integers(0, 2),
    score=st.floats(0.55, 0.99),
)
def test_a_face_written_into_a_map_is_read_back(x: float, y: float, w: float, h: float, at: int, score: float) -> None:
    level, maps = levels()[at], silent_maps()
    row, column = int(y // level.stride), int(x // level.stride)
    centre = level.centres[row * (WIDTH // level.stride) + column]
    maps[level.score_at][0, row, column, 0] = np.log(score / (1 - score))
    maps[level.box_at][0, row, column] = [
        *((np.array([x, y]) - centre) / level.stride),
        *np.log([w, h] / np.float32(level.stride)),
    ]
    boxes, scores = decode(maps, levels(), 0.5)
    assert boxes[0] == pytest.approx([x - w / 2, y - h / 2, w, h], abs=1e-3)
    assert scores[0] == pytest.approx(score, abs=1e-4)


def test_a_map_that_overflows_gives_a_finite_box() -> None:
    maps = silent_maps()
    maps[1][0, 0, 0, 0], maps[2][0, 0, 0] = 3.0, [0.0, 0.0, 400.0, 400.0]
    assert np.isfinite(decode(maps, levels(), 0.5)[0]).all()


def test_the_better_of_two_overlapping_boxes_stays_and_order_is_by_score() -> None:
    boxes = np.array([[0, 0, 20, 20], [2, 2, 20, 20], [50, 30, 20, 20]], np.float32)
    assert suppress(boxes, np.array([0.6, 0.9, 0.7], np.float32), 0.45) == [1, 2]
