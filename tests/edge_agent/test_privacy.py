"""A face is planted and searched for in everything that privacy lets through."""

import itertools

import cv2
import numpy as np
import pytest

from edge_agent.config import PrivacyConfig
from edge_agent.privacy import shown
from edge_agent.records import U8, Box

FACE = Box(500, 200, 90, 110)
OTHER = Box(620, 210, 90, 110)


def texture(seed: int, width: int = 90, height: int = 110) -> U8:
    small = np.random.default_rng(seed).integers(0, 255, (14, 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def picture() -> U8:
    small = np.random.default_rng(7).integers(60, 180, (18, 32, 3), dtype=np.uint8)
    out = np.asarray(cv2.resize(small, (1280, 720), interpolation=cv2.INTER_CUBIC))
    for seed, box in ((1, FACE), (2, OTHER)):
        x, y, w, h = box.rounded()
        out[y : y + h, x : x + w] = texture(seed)
    return out


def found(haystack: U8, seed: int) -> float:
    """How well the planted face matches anywhere, at any of some sizes: -1 to 1."""
    best = -1.0
    for scale in (1.0, 0.5, 0.25):
        needle = cv2.resize(texture(seed), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for grown in (1.0, scale):
            hay = cv2.resize(haystack, None, fx=grown, fy=grown, interpolation=cv2.INTER_AREA)
            if hay.shape[0] >= needle.shape[0] and hay.shape[1] >= needle.shape[1]:
                best = max(best, float(cv2.matchTemplate(hay, needle, cv2.TM_CCOEFF_NORMED).max()))
    return best


def test_the_search_finds_a_face_that_is_there() -> None:
    assert found(picture(), 1) > 0.99


def test_full_shows_the_picture() -> None:
    out = shown(picture(), [FACE, OTHER], PrivacyConfig(pictures="full"), FACE)
    assert out is not None
    assert np.array_equal(out, picture())


def test_blurred_leaves_no_face_to_be_found_and_the_rest_as_it_was() -> None:
    out = shown(picture(), [FACE, OTHER], PrivacyConfig(pictures="blurred"), FACE)
    assert out is not None
    assert max(found(out, 1), found(out, 2)) < 0.6
    assert np.array_equal(out[400:], picture()[400:])


def test_a_crop_shows_the_subject_and_no_neighbour() -> None:
    out = shown(picture(), [FACE, OTHER], PrivacyConfig(pictures="crop"), FACE)
    assert out is not None
    assert out.shape[1] < 200
    assert found(out, 1) > 0.95
    assert found(out, 2) < 0.6


def test_none_shows_nothing() -> None:
    assert shown(picture(), [FACE], PrivacyConfig(pictures="none"), FACE) is None


def test_a_crop_without_a_subject_shows_nothing() -> None:
    assert shown(picture(), [FACE], PrivacyConfig(pictures="crop")) is None


@pytest.mark.parametrize(("x", "y"), list(itertools.product((-60.0, 1240.0, 5000.0), (-80.0, 690.0))))
def test_faces_over_the_edge_are_no_error(x: float, y: float) -> None:
    face = Box(x, y, 100, 100)
    out = shown(picture(), [face], PrivacyConfig(pictures="blurred"))
    assert out is not None
    assert out.shape == (720, 1280, 3)
    crop = shown(picture(), [face], PrivacyConfig(pictures="crop"), face)
    assert crop is None or crop.size > 0


def test_what_is_blurred_does_not_change_the_original() -> None:
    original = picture()
    shown(original, [FACE], PrivacyConfig(pictures="blurred"))
    assert np.array_equal(original, picture())
