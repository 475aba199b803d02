"""Photographs in one file: portraits whose face a teacher finds, and faces that only the teacher names."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.records import F32, U8
from train.detector.cache import Cache, ask_teacher, build_cache
from train.detector.photos import Photo, read_photos

NOBODY = np.zeros((0, 4), np.float32)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One labelled photograph, two portraits, one picture without a face."""
    for number, name in enumerate(("crops/with_mask/a", "crops/without_mask/b", "negatives/c")):
        path = tmp_path / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((40, 50, 3), 60 * number + 40, np.uint8))
    rows = "crops,with_mask/a,1,train\ncrops,without_mask/b,2,train\nnegatives,c,3,train\n"
    (tmp_path / "splits.csv").write_text(f"set,image,group,split\n{rows}")
    return tmp_path


def photos(data: Path) -> list[Photo]:
    return read_photos(data, "train", ("crops", "negatives"))


def finds_in_the_brighter(picture: U8) -> F32:
    return np.array([[10, 5, 30, 35]], np.float32) if picture.mean() > 70 else NOBODY


def test_the_face_of_a_portrait_is_where_the_teacher_finds_it(data: Path, tmp_path: Path) -> None:
    build_cache(tmp_path / "cache", photos(data), finds_in_the_brighter)
    cache = Cache(tmp_path / "cache")
    assert cache.sources == ["crops", "negatives"]
    assert cache[0].boxes.tolist() == [[10, 5, 30, 35]]
    assert cache[0].bare.tolist() == [True]


def test_without_a_teacher_portraits_are_left_out(data: Path, tmp_path: Path) -> None:
    build_cache(tmp_path / "cache", photos(data))
    assert Cache(tmp_path / "cache").sources == ["negatives"]


def test_a_teacher_given_later_makes_the_cache_anew(data: Path, tmp_path: Path) -> None:
    build_cache(tmp_path / "cache", photos(data))
    build_cache(tmp_path / "cache", photos(data), finds_in_the_brighter)
    assert len(Cache(tmp_path / "cache")) == 2


def test_a_label_that_changed_makes_the_cache_anew(data: Path, tmp_path: Path) -> None:
    def labelled(right: float) -> list[Photo]:
        box = np.array([[5, 5, right, 30]], np.float32)
        return [Photo("own", "c", data / "negatives/c.jpg", box, ("with_mask",))]

    for right in (25, 31):
        build_cache(tmp_path / "cache", labelled(right))
        assert Cache(tmp_path / "cache")[0].boxes.tolist() == [[5, 5, right, 30]]
    stamp = (tmp_path / "cache/pixels.bin").stat().st_mtime_ns
    build_cache(tmp_path / "cache", labelled(31))
    assert (tmp_path / "cache/pixels.bin").stat().st_mtime_ns == stamp


def test_a_picture_without_faces_stays_without_whatever_the_teacher_says(data: Path, tmp_path: Path) -> None:
    build_cache(tmp_path / "cache", photos(data), finds_in_the_brighter)
    ask_teacher(tmp_path / "cache", lambda picture: np.array([[1, 1, 9, 9]], np.float32))
    cache = Cache(tmp_path / "cache")
    assert [len(cache[number].unsure) for number in range(len(cache))] == [0, 0]
