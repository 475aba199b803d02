import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.records import Box

numbers = st.floats(-1e4, 1e4)
sizes = st.floats(0.5, 1e4)
boxes = st.builds(Box, numbers, numbers, sizes, sizes)


@given(boxes)
def test_a_box_covers_itself_wholly(box: Box) -> None:
    assert box.iou(box) == pytest.approx(1.0)


@given(boxes, boxes)
def test_overlap_is_a_share_and_does_not_depend_on_the_order(a: Box, b: Box) -> None:
    assert 0.0 <= a.iou(b) <= 1.0 + 1e-9
    assert a.iou(b) == pytest.approx(b.iou(a))


def test_overlap_of_known_boxes() -> None:
    assert Box(0, 0, 10, 10).iou(Box(5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert Box(0, 0, 10, 10).iou(Box(10, 0, 10, 10)) == 0.0


@given(boxes)
def test_a_clipped_box_lies_inside_the_picture(box: Box) -> None:
    inside = box.clipped(640, 480)
    assert 0 <= inside.x <= 640
    assert 0 <= inside.y <= 480
    assert inside.x + inside.w <= 640 + 1e-6
    assert inside.y + inside.h <= 480 + 1e-6
    assert inside.w >= 0
    assert inside.h >= 0


def test_rounding_keeps_the_far_edge_where_it_was() -> None:
    assert Box(0.4, 0.6, 10.2, 10.2).rounded() == (0, 1, 11, 10)
