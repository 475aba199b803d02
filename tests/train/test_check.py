"""The data check, the files' writing, the model card's tables."""

from __future__ import annotations

import csv
import errno
import json
import shutil
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from edge_agent.errors import ConfigError
from train.__main__ import main
from train.card import fill
from train.check.scan import look, near_pairs
from train.files import DiskError, write_atomically


def test_a_cut_off_jpeg_and_a_text_named_jpg_are_found(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "whole.jpg").write_bytes(data)
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.jpg").write_bytes(b"hello " * 100)
    faults = {name: look(tmp_path / name).fault for name in ("whole.jpg", "cut.jpg", "text.jpg")}
    assert faults["whole.jpg"] == ""
    assert faults["cut.jpg"] in ("JPEG without its end: cut off", "does not decode")  # as the codec sees it
    assert faults["text.jpg"] == "does not decode"


def test_a_smaller_and_recompressed_copy_is_a_near_duplicate_and_another_picture_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    one, other = (cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8), (320, 240)) for _ in range(2))
    cv2.imwrite(str(tmp_path / "a.png"), one)
    cv2.imwrite(str(tmp_path / "b.jpg"), cv2.resize(one, (160, 120)), [cv2.IMWRITE_JPEG_QUALITY, 60])
    cv2.imwrite(str(tmp_path / "c.png"), other)
    pairs = near_pairs([look(tmp_path / name) for name in ("a.png", "b.jpg", "c.png")])
    assert [(a, b) for a, b, _ in pairs] == [(0, 1)]


def test_a_picture_on_both_sides_of_the_split_fails_a_strict_check(drawn_data: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn_data.parent, tmp_path / "set")
    images = tmp_path / "set/images"
    shutil.copyfile(images / "face000.png", images / "face080.png")
    words = ["check-data", "--dataset", str(tmp_path / "set" / drawn_data.name), "--out", str(tmp_path / "out")]
    assert main([*words, "--strict"]) == 1
    assert main(words) == 0
    with (tmp_path / "out/findings.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "across_splits"]
    assert {"drawn/face000", "drawn/face080"} in [{row["id"], row["other"]} for row in rows]
    page = (tmp_path / "out/report.html").read_text()
    assert "two sides of the split" in page
    assert "data:image/jpeg;base64," in page


def test_what_cannot_be_read_is_listed_and_the_rest_is_checked(drawn_data: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn_data.parent, tmp_path / "set")
    labels = tmp_path / "set/annotations"
    (labels / "face001.xml").write_text("<annotation><object>")
    unknown, swapped = (labels / f"face00{n}.xml" for n in (2, 3))
    unknown.write_text(unknown.read_text().replace("mask_weared_incorrect", "beard"))
    swapped.write_text(swapped.read_text().replace("<xmax>76", "<xmax>6"))
    words = ["check-data", "--dataset", str(tmp_path / "set" / drawn_data.name), "--out", str(tmp_path / "out")]
    assert main([*words, "--strict"]) == 1
    with (tmp_path / "out/findings.csv").open() as file:
        found = {(row["kind"], row["id"]) for row in csv.DictReader(file)}
    wanted = {("label_file", "drawn/face001"), ("unknown_class", "drawn/face002#0"), ("no_area", "drawn/face003#0")}
    assert wanted <= found
    page = (tmp_path / "out/report.html").read_text()
    assert all(word in page for word in ("face001.xml", "beard", "drawn/face003#0"))
    assert "87 faces" in page


def test_doubtful_labels_are_of_train_and_val_and_a_corrupt_picture_does_not_stop_the_search(
    drawn_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(drawn_data.parent, tmp_path / "set")
    (tmp_path / "set/images/face000.png").write_bytes(b"no picture " * 50)
    jpeg = cv2.imencode(".jpg", cv2.imread(str(tmp_path / "set/images/face001.png")))[1].tobytes()
    (tmp_path / "set/images/face001.png").write_bytes(jpeg[: len(jpeg) * 2 // 3])
    keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    ).save(tmp_path / "model.keras")
    (tmp_path / "model.json").write_text(
        json.dumps(
            {
                "labels": ["with_mask", "without_mask", "mask_weared_incorrect"],
                "input_size_px": 32,
                "crop_margin": 0.1,
                "temperature": 1.0,
                "thresholds": {"with_mask": 0.5},
            }
        )
    )
    dataset = tmp_path / "set" / drawn_data.name
    words = ["check-data", "--dataset", str(dataset), "--out", str(tmp_path / "out"), "--model", str(tmp_path)]
    assert main(words) == 0
    with (tmp_path / "out/findings.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "doubtful_label"]
    assert {row["split"] for row in rows} == {"train", "val"}  # an untrained model doubts two classes of three


def test_a_full_disk_leaves_the_file_before_and_no_half_one(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"the one before")

    def write_until_full() -> None:
        with write_atomically(path) as out:
            out.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskError, match="free some space"):
        write_until_full()
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_tables_of_a_card_are_replaced_between_their_markers(tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text("# Card\n<!-- test: begin -->\nold\n<!-- test: end -->\nprose\n")
    fill(card, "test", "| new |")
    assert card.read_text() == "# Card\n<!-- test: begin -->\n| new |\n<!-- test: end -->\nprose\n"
    with pytest.raises(ConfigError, match="lacks the markers"):
        fill(card, "val", "| new |")
