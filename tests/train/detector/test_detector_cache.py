"""Photographs in one file: portraits whose face a teacher finds, and faces that only the teacher names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import ConfigError, ImageError, ModelError, NotFoundError
from edge_agent.records import F32, U8
from train.detector.cache import (
    ANSWERS,
    INDEX,
    PIXELS,
    Cache,
    Teacher,
    ask_teacher,
    build_cache,
    open_teacher,
    read_looked_at,
    turned,
)
from train.detector.photos import Photo, read_faceless, read_photos
from train.files import DiskError

NOBODY = np.zeros((0, 6), np.float32)


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


def teacher(found: F32 = NOBODY, sha256: str = "a") -> Teacher:
    """One that finds the same in every picture, and a portrait's face in the brighter ones."""
    return Teacher(lambda picture: found, finds_in_the_brighter, sha256)


def test_the_face_of_a_portrait_is_where_the_teacher_finds_it(data: Path, tmp_path: Path) -> None:
    build_cache(tmp_path / "cache", photos(data), teacher())
    cache = Cache(tmp_path / "cache")
    assert cache.sources == ["crops", "negatives"]
    assert cache[0].boxes.tolist() == [[10, 5, 30, 35]]
    assert cache[0].bare.tolist() == [True]


def test_without_a_teacher_portraits_are_left_out(data: Path, tmp_path: Path) -> None:
    build_cache(tmp_path / "cache", photos(data))
    assert Cache(tmp_path / "cache").sources == ["negatives"]


def test_a_teacher_given_later_makes_the_cache_anew(data: Path, tmp_path: Path) -> None:
    build_cache(tmp_path / "cache", photos(data))
    build_cache(tmp_path / "cache", photos(data), teacher())
    assert len(Cache(tmp_path / "cache")) == 2


def test_each_teacher_is_asked_itself(data: Path, tmp_path: Path) -> None:
    box = np.array([[5, 5, 15, 20]], np.float32)
    build_cache(tmp_path / "cache", [Photo("own", "c", data / "negatives/c.jpg", box, ("without_mask",))])
    for sha256, x in (("a", 20), ("b", 30), ("b", 20)):  # the last: its own answers are kept
        ask_teacher(tmp_path / "cache", teacher(np.array([[x, 5, x + 8, 20, 0.6, 0.0]], np.float32), sha256))
    assert Cache(tmp_path / "cache", teacher=teacher(sha256="b"))[0].unsure[0, 0] == 30
    build_cache(tmp_path / "cache", photos(data), teacher(sha256="a"))
    stamp = (tmp_path / "cache" / INDEX).stat().st_mtime_ns
    build_cache(tmp_path / "cache", photos(data), teacher(sha256="a"))
    assert (tmp_path / "cache" / INDEX).stat().st_mtime_ns == stamp
    build_cache(tmp_path / "cache", photos(data), teacher(sha256="b"))  # another draws other portraits' boxes
    assert (tmp_path / "cache" / INDEX).stat().st_mtime_ns != stamp


@pytest.mark.parametrize("name", [INDEX, PIXELS, ANSWERS])
def test_a_damaged_cache_is_made_anew(data: Path, tmp_path: Path, name: str) -> None:
    for _ in range(2):
        build_cache(tmp_path / "cache", photos(data), teacher())
        ask_teacher(tmp_path / "cache", teacher())
        assert len(Cache(tmp_path / "cache", teacher=teacher())) == 2
        whole = (tmp_path / "cache" / name).read_bytes()
        (tmp_path / "cache" / name).write_bytes(whole[:-5])


def test_a_cache_that_cannot_be_written_and_one_of_nothing_are_said(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"cannot write in .*file.*; give another folder as --cache"):
        build_cache(tmp_path / "file", photos(data))
    with pytest.raises(ConfigError, match="no photograph is left to train on"):
        build_cache(tmp_path / "cache", [photo for photo in photos(data) if photo.portrait])


def test_a_damaged_photograph_is_left_out_and_named_each_time(data: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    whole = cv2.imencode(".jpg", noise)[1].tobytes()
    path = data / "crops/without_mask/b.jpg"
    path.write_bytes(whole[: len(whole) // 2])
    (fault,) = build_cache(tmp_path / "cache", photos(data), teacher())
    assert fault.startswith(f"{path} cannot be decoded, or only in part")
    assert Cache(tmp_path / "cache").sources == ["negatives"]
    stamp = (tmp_path / "cache" / INDEX).stat().st_mtime_ns
    assert build_cache(tmp_path / "cache", photos(data), teacher()) == [fault]
    assert (tmp_path / "cache" / INDEX).stat().st_mtime_ns == stamp
    path.write_bytes(whole)
    assert build_cache(tmp_path / "cache", photos(data), teacher()) == []
    assert Cache(tmp_path / "cache").sources == ["crops", "negatives"]
    path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"no photograph is left to train on, 1 damaged, the first: .*b\.jpg cannot"):
        build_cache(tmp_path / "cache", [photo for photo in photos(data) if photo.path == path], teacher())


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"--teacher .*gone\.onnx is not there"):
        open_teacher(tmp_path / "gone.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ModelError, match=r"text\.onnx is no YuNet model"):
        open_teacher(tmp_path / "text.onnx")


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


def test_a_picture_changed_under_its_name_is_read_again_and_a_copy_of_the_folder_is_not(tmp_path: Path) -> None:
    folder, cache = tmp_path / "own", tmp_path / "cache"
    for name, grey in (("a", 40), ("b", 90)):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "one.png"), np.full((40, 50, 3), grey, np.uint8))
    build_cache(cache, read_faceless(folder))
    before = (folder / "a/one.png").stat()
    cv2.imwrite(str(folder / "a/one.png"), np.full((40, 50, 3), 41, np.uint8))
    os.utime(folder / "a/one.png", ns=(before.st_atime_ns, before.st_mtime_ns))  # as unpacking an archive leaves it
    build_cache(cache, read_faceless(folder))
    assert [int(Cache(cache)[number].pixels.mean()) for number in (0, 1)] == [41, 90]
    stamp = (cache / PIXELS).stat().st_mtime_ns
    shutil.copytree(folder, tmp_path / "elsewhere/own", copy_function=shutil.copyfile)
    build_cache(cache, read_faceless(tmp_path / "elsewhere/own"))
    assert (cache / PIXELS).stat().st_mtime_ns == stamp


def test_a_picture_without_faces_stays_without_whatever_the_teacher_says(data: Path, tmp_path: Path) -> None:
    build_cache(tmp_path / "cache", photos(data), teacher())
    sees = teacher(np.array([[1, 1, 9, 9, 0.9, 0.0]], np.float32))
    ask_teacher(tmp_path / "cache", sees)
    cache = Cache(tmp_path / "cache", teacher=sees)
    assert [len(cache[number].unsure) for number in range(len(cache))] == [0, 0]


def test_what_only_the_teacher_finds_is_a_face_where_it_is_believed(data: Path, tmp_path: Path) -> None:
    box = np.array([[5, 5, 15, 20]], np.float32)
    build_cache(tmp_path / "cache", [Photo("own", "c", data / "negatives/c.jpg", box, ("without_mask",))])
    rows = [[6, 5, 15, 20, 0.9, 0.0], [20, 5, 30, 20, 0.8, 0.0], [30, 20, 40, 38, 0.6, 0.0]]
    found = np.array(rows, np.float32)
    sees = teacher(found)
    ask_teacher(tmp_path / "cache", sees)
    sceptic, believer = (Cache(tmp_path / "cache", None, score, sees)[0] for score in (2.0, 0.75))
    assert len(Cache(tmp_path / "cache")[0].boxes) == 1  # a training without a teacher
    assert sceptic.boxes.tolist() == [[5, 5, 15, 20]]
    assert sceptic.unsure.tolist() == [[20, 5, 30, 20], [30, 20, 40, 38]]
    assert believer.boxes.tolist() == [[5, 5, 15, 20], [20, 5, 30, 20]]
    assert believer.bare.tolist() == [True, False]
    assert believer.unsure.tolist() == [[30, 20, 40, 38]]
    assert len(believer.hard.faces) == 2


def test_a_bare_face_is_turned_away_as_far_as_the_teacher_sees_it(data: Path, tmp_path: Path) -> None:
    boxes = np.array([[5, 5, 15, 20], [20, 5, 30, 20], [30, 20, 40, 38]], np.float32)
    labels = ("without_mask", "with_mask", "without_mask")
    build_cache(tmp_path / "cache", [Photo("own", "c", data / "negatives/c.jpg", boxes, labels)])
    sees = teacher(np.array([[6, 5, 15, 20, 0.9, 0.7], [20, 5, 30, 20, 0.8, 0.9]], np.float32))
    ask_teacher(tmp_path / "cache", sees)
    away = Cache(tmp_path / "cache", teacher=sees).turned_away(0)
    assert away.tolist() == pytest.approx([0.7, 0.0, 0.0])  # the second is masked, the third was not found
    assert Cache(tmp_path / "cache").turned_away(0).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("landmarks", "away"),
    [
        ([30, 40, 75, 40, 52, 60, 35, 80, 70, 80], 0.0),  # from the front
        ([10, 40, 30, 40, 8, 60, 12, 80, 28, 80], 1.0),  # a profile: eyes a fifth of the width apart
        ([30, 50, 75, 50, 52, 78, 35, 85, 70, 85], 1.0),  # bowed: the nose near the mouth
        ([40, 40, 68, 40, 40, 60, 42, 80, 66, 80], 0.47),  # between
    ],
)
def test_landmarks_tell_how_far_a_face_is_turned_away(landmarks: list[float], away: float) -> None:
    found = turned(np.array([100], np.float32), np.array([landmarks], np.float32))
    assert found.tolist() == pytest.approx([away], abs=0.01)


def test_boxes_that_somebody_looked_at_are_unsure_or_decoys(data: Path, tmp_path: Path) -> None:
    build_cache(tmp_path / "cache", photos(data), teacher())
    table = tmp_path / "looked_at.csv"
    table.write_text(
        "photograph,left,top,right,bottom,is\n"
        "negatives/c,1,2,11,12,unsure\nnegatives/c,20,2,30,12,nothing\nnegatives/c,20,20,30,32,nothing\n"
    )
    portrait, nobody = (Cache(tmp_path / "cache", read_looked_at(table))[n] for n in (0, 1))
    assert nobody.unsure.tolist() == [[1, 2, 11, 12]]
    assert nobody.hard.decoys.tolist() == [[20, 2, 30, 12], [20, 20, 30, 32]]
    assert len(portrait.unsure) == len(portrait.hard.decoys) == 0


@pytest.mark.parametrize(
    "row",
    [
        "negatives/c,1,2,11,12,perhaps",
        "negatives/c,1,2,11",
        "negatives/c,1,2,x,12,unsure",
        "negatives/c,11,2,1,12,nothing",
    ],
)
def test_a_wrong_line_of_that_table_is_named(tmp_path: Path, row: str) -> None:
    table = tmp_path / "looked_at.csv"
    table.write_text(f"photograph,left,top,right,bottom,is\nnegatives/c,1,2,11,12,unsure\n{row}\n")
    with pytest.raises(ConfigError, match=r"looked_at\.csv, line 3: give"):
        read_looked_at(table)


def test_a_file_that_is_no_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "looked_at.csv").write_bytes(bytes(range(128, 256)) + b"\nx\n")
    with pytest.raises(ConfigError, match=r"looked_at\.csv, line"):
        read_looked_at(tmp_path / "looked_at.csv")


def test_that_table_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"looked_at .*none\.csv is not there"):
        read_looked_at(tmp_path / "none.csv")
