import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import preprocess
from edge_agent.records import Box


def picture(width: int = 64, height: int = 48) -> np.ndarray:
    """Blue grows to the right, green downwards, red is 200: a swap of anything shows."""
    rows, columns = np.indices((height, width))
    return np.dstack([columns * 255 // width, rows * 255 // height, np.full((height, width), 200)]).astype(np.uint8)


def test_a_letterboxed_picture_is_rgb_and_keeps_its_aspect() -> None:
    out, fit = preprocess.letterbox(picture(64, 48), 128, 128)
    assert out.shape == (128, 128, 3)
    assert fit.scale == 2.0
    assert (out[:96, :, 0] == 200).all(), "red comes first"
    assert (out[96:] == preprocess.PAD_VALUE).all(), "what is left over is grey, below"


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (1281, 721), (4000, 3000)])
def test_a_large_picture_is_halved_first_and_looks_the_same(size: tuple[int, int]) -> None:
    large = picture(*size)
    out, fit = preprocess.letterbox(large, 512, 384)
    rows = round(size[1] * fit.scale)
    ramp = picture(512, rows)[:, :, ::-1].astype(int)
    assert np.abs(out[:rows].astype(int) - ramp).max() <= 2
    assert (out[rows:] == preprocess.PAD_VALUE).all()


def test_a_box_finds_its_way_back_from_the_letterbox() -> None:
    _, fit = preprocess.letterbox(picture(640, 360), 320, 320)
    assert fit.to_picture(Box(10, 20, 30, 40)) == Box(20, 40, 60, 80)


def test_a_crop_is_square_rgb_and_holds_the_margin() -> None:
    bgr = np.zeros((100, 100, 3), np.uint8)
    bgr[40:60, 40:60] = (10, 20, 30)
    out = preprocess.crop(bgr, Box(40, 40, 20, 20), 40, margin=0.5)
    assert out.shape == (40, 40, 3)
    assert tuple(out[20, 20]) == (30, 20, 10)
    inside = (out[..., 0] > 15).sum() / out[..., 0].size
    assert inside == pytest.approx(0.25, abs=0.03), "half a side more on every edge makes four times the area"


def test_a_crop_over_the_edge_repeats_the_edge_and_keeps_the_face_in_the_middle() -> None:
    bgr = np.full((50, 50, 3), 77, np.uint8)
    assert (preprocess.crop(bgr, Box(-10, -10, 20, 20), 32, 0.1) == 77).all()


def test_a_box_outside_the_picture_gives_a_grey_crop() -> None:
    out = preprocess.crop(picture(), Box(500, 500, 20, 20), 16, 0.1)
    assert (out == preprocess.PAD_VALUE).all()


def test_no_boxes_give_no_crops_of_the_right_shape() -> None:
    assert preprocess.crops(picture(), [], 24, 0.1).shape == (0, 24, 24, 3)


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-1e7, 1e7),
    st.floats(-1e7, 1e7),
    st.floats(0, 1e7),
    st.floats(0, 1e7),
    st.floats(0, 1),
    st.integers(8, 64),
)
def test_any_box_gives_a_crop_without_taking_the_memory_of_the_device(
    x: float, y: float, w: float, h: float, margin: float, size: int
) -> None:
    out = preprocess.crop(picture(), Box(x, y, w, h), size, margin)
    assert out.shape == (size, size, 3)
    assert out.dtype == np.uint8


def test_shrinking_to_a_half_or_less_averages() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.unique(preprocess.resize(stripes, 16, 16)).tolist() == [100]
