"""Boxes go where their pixels go."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from train.detector.augment import FACE, UNSURE, Recipe, training_picture, window
from train.detector.cache import Hard, Sample
from train.detector.drawn import cover_faces, turn_away
from train.detector.spoil import spoil

PLAIN = Recipe(mosaic=0, cover=0, spoil=0)
NOWHERE = np.zeros((0, 4), np.float32)


def sample(box: tuple[int, int, int, int] = (200, 120, 280, 220)) -> Sample:
    """A black picture whose face is a white rectangle."""
    pixels = np.zeros((360, 480, 3), np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = 255
    return Sample(pixels, np.array([box], np.float32), np.array([True]), NOWHERE, Hard.easy(1))


def white_box(pixels: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(pixels.min(axis=2) > 180)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize("seed", range(12))
def test_a_face_that_is_moved_scaled_and_flipped_keeps_its_box(seed: int) -> None:
    recipe = Recipe(mosaic=0, cover=0, spoil=0, rotate=0)
    rng = np.random.default_rng(seed)
    picture = window(sample(), 320, 320, recipe, rng)
    for label in picture.labels[picture.labels[:, 4] == FACE]:
        if label[:2].min() > 1 and label[2:4].max() < 319 and picture.pixels[0, 0].max() < 180:
            assert label[:4] == pytest.approx(white_box(picture.pixels), abs=2.5)


def test_a_face_that_is_mostly_cut_off_is_unsure() -> None:
    kinds = set()
    for seed in range(60):
        picture = window(sample((0, 0, 470, 350)), 64, 64, Recipe(max_face_px=400), np.random.default_rng(seed))
        kinds |= set(picture.labels[:, 4])
    assert kinds <= {FACE, UNSURE}
    assert UNSURE in kinds


@pytest.mark.parametrize("seed", range(8))
def test_labels_of_any_picture_lie_inside_it(seed: int) -> None:
    recipe = Recipe(mosaic=0.5, cover=1, spoil=1)
    picture = training_picture([sample()] * 4, 320, recipe, np.random.default_rng(seed))
    assert picture.pixels.shape == (320, 320, 3)
    assert picture.pixels.dtype == np.uint8
    assert len(picture.labels) == len(picture.bare)
    assert (picture.labels[:, :4] >= 0).all()
    assert (picture.labels[:, :4] <= 320).all()


def test_only_bare_faces_count_more() -> None:
    masked = dataclasses.replace(sample(), bare=np.array([False]))
    recipe = dataclasses.replace(PLAIN, bare=2.0)
    for shown, wanted in ((sample(), {2.0, UNSURE}), (masked, {FACE, UNSURE})):
        pictures = [training_picture([shown] * 4, 320, recipe, np.random.default_rng(seed)) for seed in range(20)]
        assert wanted == {*np.concatenate([picture.labels[:, 4] for picture in pictures]), UNSURE}


def test_the_same_seed_gives_the_same_picture() -> None:
    first, second = (training_picture([sample()] * 4, 128, Recipe(), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(first.labels, second.labels)


def test_what_the_teacher_found_is_unsure_and_never_a_face() -> None:
    taught = Sample(sample().pixels, NOWHERE, np.zeros(0, bool), sample().boxes, Hard.easy(0))
    kinds = [window(taught, 320, 320, PLAIN, np.random.default_rng(seed)).labels[:, 4] for seed in range(10)]
    assert set(np.concatenate(kinds)) == {UNSURE}


def test_a_drawn_mask_changes_the_lower_face_and_leaves_the_rest_of_the_picture() -> None:
    pixels = np.full((200, 200, 3), 90, np.uint8)
    labels = np.array([[60, 60, 120, 140, FACE]], np.float32)
    covered = [cover_faces(pixels, labels, np.array([True]), np.random.default_rng(seed)) for seed in range(10)]
    changed = [np.argwhere((out != pixels).any(axis=2)) for out in covered]
    masked = [where for where in changed if len(where)]
    assert masked
    assert all(where.min() >= 40 and where.max() <= 165 for where in masked)


def test_a_bare_face_that_is_turned_away_is_no_face_and_looks_like_what_is_above_it() -> None:
    pixels = np.full((200, 200, 3), 200, np.uint8)
    pixels[:60] = 20  # hair
    labels = np.array([[60, 60, 120, 140, FACE], [150, 60, 190, 110, FACE]], np.float32)
    outcomes = set()
    for seed in range(12):
        out, remains = turn_away(pixels, labels, np.array([True, False]), np.random.default_rng(seed))
        assert remains[1]
        assert np.array_equal(out[:, 140:], pixels[:, 140:])
        assert (out[65:85, 85:95].mean() < 60) == (not remains[0])
        outcomes.add(bool(remains[0]))
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    "labels",
    [
        [[60, 0, 120, 80, FACE]],  # nothing above it
        [[60, 60, 70, 72, FACE]],  # too small
        [[60, 60, 120, 140, UNSURE]],
        [[60, 60, 120, 140, FACE], [90, 70, 150, 150, UNSURE]],  # another face would be hidden
    ],
)
def test_a_face_that_cannot_be_turned_away_stays(labels: list[list[float]]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    bare = np.arange(len(labels)) == 0
    for seed in range(8):
        out, remains = turn_away(pixels, np.array(labels, np.float32), bare, np.random.default_rng(seed))
        assert remains.all()
        assert np.array_equal(out, pixels)


def test_spoiling_keeps_size_and_type() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    for seed in range(30):
        out = spoil(pixels, np.random.default_rng(seed))
        assert out.shape == pixels.shape
        assert out.dtype == np.uint8
