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
    (tmp_path / "classes.txt").write_text("no mask\nmasked\n")
    (found,) = read_yolo(tmp_path / "images", tmp_path / "labels", tmp_path / "classes.txt")
    assert (found.alias, found.box) == ("masked", Box(10, 5, 20, 10))


def test_a_broken_yolo_line_names_its_file_and_line(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("1 0.5 half 0.5 0.5\n")
    with pytest.raises(ConfigError, match=r"a.txt:1"):
        list(read_yolo(tmp_path / "images", tmp_path / "labels"))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("-1 0.5 0.5 0.5 0.5", "class -1"),
        ("2 0.5 0.5 0.5 0.5", "class 2, but `names` lists 2"),
        ("1 nan 0.5 0.5 0.5", "not finite"),
        ("1 20 10 10 10", "pixels, where fractions"),
        ("1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5", "a polygon is no box"),
        ("1 0.5 0.5", "3 numbers, not 5"),
    ],
)
def test_a_yolo_line_that_means_something_else_is_refused(tmp_path: Path, line: str, fault: str) -> None:
    picture(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text(f"0 0.5 0.5 0.5 0.5 0.9\n{line}\n")
    (tmp_path / "classes.txt").write_text("bare\nmasked\n")
    with pytest.raises(ConfigError, match=rf"a\.txt:2: .*{fault}"):
        list(read_yolo(tmp_path / "images", tmp_path / "labels", tmp_path / "classes.txt"))


def test_a_list_of_yolo_names_that_is_not_there_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    with pytest.raises(NotFoundError, match=r"no file .*gone\.txt"):
        list(read_yolo(tmp_path / "images", tmp_path / "labels", tmp_path / "gone.txt"))


@pytest.mark.parametrize(
    ("xml", "fault"),
    [
        ("<a><object>", "no element found"),
        ("<a><object><name>bare</name></object></a>", "without bndbox/xmin"),
        ("<a><object><bndbox><xmin>x</xmin></bndbox></object></a>", "could not convert"),
    ],
)
def test_a_broken_voc_file_is_named_with_its_fault(tmp_path: Path, xml: str, fault: str) -> None:
    picture(tmp_path / "images/a.png")
    (tmp_path / "a.xml").write_text(xml)
    with pytest.raises(ConfigError, match=rf"a\.xml is not a Pascal VOC file: .*{fault}"):
        list(read_voc(tmp_path / "images", tmp_path))


def coco(**changes: object) -> dict[str, object]:
    """A book of one picture in a folder of its own, with one box; `changes` are the box's."""
    box = {"id": 1, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4], **changes}
    return {
        "images": [{"id": 7, "file_name": "door/a.png"}],
        "categories": [{"id": 2, "name": "bare"}],
        "annotations": [box],
    }


@pytest.mark.parametrize("changes", [{"bbox": [1, 2]}, {"bbox": None}, {"category_id": 9}, {"bbox": [1, 2, 3, "nan"]}])
def test_a_coco_box_that_cannot_be_one_is_named_by_its_number(tmp_path: Path, changes: dict[str, object]) -> None:
    (tmp_path / "coco.json").write_text(json.dumps(coco(**changes)))
    with pytest.raises(ConfigError, match="annotation 1 is no COCO box"):
        list(read_coco(tmp_path / "images", tmp_path / "coco.json"))


def test_coco_pictures_in_folders_keep_names_of_their_own_and_a_crowd_is_no_face(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text(json.dumps(coco()))
    assert [f.name for f in read_coco(tmp_path, tmp_path / "coco.json")] == ["door/a"]
    (tmp_path / "coco.json").write_text(json.dumps(coco(iscrowd=1)))
    assert list(read_coco(tmp_path, tmp_path / "coco.json")) == []


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


def test_a_picture_on_two_sides_of_the_split_file_is_refused(drawn_data: Path, tmp_path: Path) -> None:
    path = copied(drawn_data, tmp_path)
    with (path.parent / "splits.csv").open("a") as out:
        out.write("drawn,face000,g0,test\n")
    with pytest.raises(ConfigError, match="drawn/face000 twice"):
        load(path)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('name = "drawn"', 'nme = "drawn"'), "set.0.name: Field required"),
        (('mask_weared_incorrect = "mask_weared_incorrect"', 'x = "scarf"'), "`classes` maps to 'scarf'"),
        (("['with_mask', 'without_mask'", "['with_mask', 'with_mask'"), "one is there twice"),
        (("[[set]]", "[[set"), "Expected"),
    ],
)
def test_a_wrong_dataset_file_is_one_line_that_names_it(
    drawn_data: Path, tmp_path: Path, change: tuple[str, str], fault: str
) -> None:
    path = copied(drawn_data, tmp_path)
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ConfigError, match=fault) as found:
        load(path)
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)


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
