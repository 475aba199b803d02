"""Readers and the dataset file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import ConfigError, NotFoundError
from edge_agent.records import Box
from train.data import load
from train.data.dataset import hashed_split
from train.data.readers import read_coco, read_folders, read_voc, read_yolo


def picture(path: Path, width: int = 40, height: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))
    return path


def copied(drawn_data: Path, to: Path) -> Path:
    shutil.copytree(drawn_data.parent, to / "set")
    return to / "set" / drawn_data.name


def test_yolo_fractions_become_pixels_and_names_come_from_the_list(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "classes.txt").write_text("bare masked")
    (found,) = read_yolo(tmp_path / "images", tmp_path / "labels", tmp_path / "classes.txt")
    assert (found.alias, found.box) == ("masked", Box(10, 5, 20, 10))


def test_a_broken_yolo_line_names_its_file_and_line(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("1 0.5 half 0.5 0.5\n")
    with pytest.raises(ConfigError, match=r"a.txt:1"):
        list(read_yolo(tmp_path / "images", tmp_path / "labels"))


def test_coco_boxes_are_read_with_their_category(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    book = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "categories": [{"id": 2, "name": "bare"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(book))
    (found,) = read_coco(tmp_path / "images", tmp_path / "coco.json")
    assert (found.alias, found.box) == ("bare", Box(1, 2, 3, 4))


def test_a_folder_a_class_gives_whole_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "bare/a.png")
    picture(tmp_path / "masked/b.png")
    assert [(f.name, f.alias, f.box) for f in read_folders(tmp_path)] == [
        ("bare/a", "bare", None),
        ("masked/b", "masked", None),
    ]


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(NotFoundError, match="no picture in"):
        list(read_voc(tmp_path / "images", tmp_path))


def test_every_face_gets_its_split_and_a_unique_id(drawn_data: Path) -> None:
    dataset = load(drawn_data)
    assert [len(dataset.of(split)) for split in ("train", "val", "test")] == [54, 18, 18]
    assert len({s.id for s in dataset.samples}) == 90


def test_a_split_that_leaks_is_refused_with_its_group(drawn_data: Path, tmp_path: Path) -> None:
    path = copied(drawn_data, tmp_path)
    split = path.parent / "splits.csv"
    split.write_text(split.read_text().replace("face080,g80", "face080,g3"))
    with pytest.raises(ConfigError, match="group g3 is in train and in test"):
        load(path)


def test_a_class_without_a_training_picture_is_refused(drawn_data: Path, tmp_path: Path) -> None:
    path = copied(drawn_data, tmp_path)
    path.write_text(
        path.read_text().replace('mask_weared_incorrect = "mask_weared_incorrect"', 'mask_weared_incorrect = ""')
    )
    with pytest.raises(ConfigError, match="no picture of class mask_weared_incorrect"):
        load(path)


def test_an_unknown_class_name_is_refused_with_the_known_ones(drawn_data: Path, tmp_path: Path) -> None:
    path = copied(drawn_data, tmp_path)
    path.write_text(path.read_text().replace('without_mask = "without_mask"', 'bare = "without_mask"'))
    with pytest.raises(ConfigError, match=r"unknown class 'without_mask'; `classes` knows bare"):
        load(path)


def test_the_data_hash_changes_with_a_label(drawn_data: Path, tmp_path: Path) -> None:
    path = copied(drawn_data, tmp_path)
    before = load(path).data_sha256
    xml = path.parent / "annotations/face000.xml"
    xml.write_text(xml.read_text().replace("with_mask", "without_mask"))
    assert load(path).data_sha256 != before


def test_a_hashed_split_depends_on_the_group_alone() -> None:
    sides = [hashed_split(f"group{i}") for i in range(2000)]
    assert sides == [hashed_split(f"group{i}") for i in range(2000)]
    assert 0.66 < sides.count("train") / 2000 < 0.74


@pytest.mark.shared_data
def test_the_shared_photographs_load_without_a_leak(shared: Path) -> None:
    dataset = load(Path(__file__).parents[2] / "train/configs/shared.dataset.toml")
    assert len(dataset.of("test", ["macwin"])) > 1000
    assert {s.split for s in dataset.samples if s.set == "crops"} == {"train"}
