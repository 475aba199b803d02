"""Labels of pasted people lie on their faces; people from behind have none, nor have things."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import ConfigError, NotFoundError
from train.detector.labels import FACE, UNSURE
from train.detector.paste import paste_people, paste_things
from train.detector.things import Things
from train.people.bank import Bank, write_bank
from train.people.cutout import Cutout

NO_LABELS, NOT_BARE = np.zeros((0, 5), np.float32), np.zeros(0, bool)


def bank(folder: Path, front: float, visible: float) -> Bank:
    """A person who is a red face above a white chest, and left of it."""
    pixels = np.zeros((96, 96, 4), np.uint8)
    pixels[60:, 20:76] = 255
    pixels[20:60, 14:50] = (0, 0, 255, 255)
    write_bank(folder, [Cutout(pixels, np.array([14, 20, 50, 60], np.float32), front, visible)])
    return Bank(folder)


@pytest.mark.parametrize("seed", range(40))
def test_a_label_lies_on_the_face_that_was_pasted(tmp_path: Path, seed: int) -> None:
    grey = np.full((320, 320, 3), 120, np.uint8)
    people = bank(tmp_path, 0.9, 0.7)
    pixels, labels, bare = paste_people(grey, NO_LABELS, NOT_BARE, people, np.random.default_rng(seed))
    assert grey.min() == grey.max() == 120  # a copy
    assert len(labels) == len(bare)
    assert not bare.any()
    assert (labels[:, :4] >= 0).all()
    assert (labels[:, :4] <= 320).all()
    red = (pixels[..., 2].astype(int) - pixels[..., 0]) > 50
    for left, top, right, bottom in (label[:4] for label in labels if len(labels) == 1 and label[4] == FACE):
        rows, columns = np.nonzero(red)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (left, top, right, bottom) == pytest.approx(found, abs=2)


def test_an_edge_is_no_darker_than_what_it_lies_between(tmp_path: Path) -> None:
    white = np.full((320, 320, 3), 200, np.uint8)
    pixels = np.zeros((96, 96, 4), np.uint8)
    pixels[20:60, 30:66] = (200, 200, 200, 255)
    write_bank(tmp_path, [Cutout(pixels, np.array([30, 20, 66, 60], np.float32), 0.9, 0.7)])
    darkest = [
        int(paste_people(white, NO_LABELS, NOT_BARE, Bank(tmp_path), np.random.default_rng(seed))[0].min())
        for seed in range(40)
    ]
    assert max(darkest) >= 199  # where no noise was added


def test_who_is_seen_from_behind_has_no_label_and_who_is_in_between_an_unsure_one(tmp_path: Path) -> None:
    grey = np.full((320, 320, 3), 120, np.uint8)
    kinds: dict[str, set[float]] = {}
    for name, front, visible in (("back", -0.9, 0.0), ("between", -0.4, 0.2), ("face", 0.9, 0.7)):
        people = bank(tmp_path / name, front, visible)
        kinds[name] = set()
        for seed in range(30):
            _, labels, _ = paste_people(grey, NO_LABELS, NOT_BARE, people, np.random.default_rng(seed))
            kinds[name] |= {float(kind) for kind in labels[:, 4]}
    assert kinds == {"back": set(), "between": {UNSURE}, "face": {FACE, UNSURE}}


def test_a_face_behind_a_person_is_no_label_any_more(tmp_path: Path) -> None:
    grey = np.full((320, 320, 3), 120, np.uint8)
    people = bank(tmp_path, -0.9, 0.0)
    face = np.array([[150, 150, 162, 162, FACE]], np.float32)
    outcomes = set()
    for seed in range(80):
        _, labels, bare = paste_people(grey, face, np.array([True]), people, np.random.default_rng(seed))
        assert len(labels) == len(bare) <= 1
        outcomes |= {float(labels[0, 4]) if len(labels) else None}
    assert outcomes == {FACE, UNSURE, None}


@pytest.fixture
def things(tmp_path: Path) -> Path:
    """A folder of one red thing with clear edges, beside what is left out."""
    thing = np.zeros((300, 400, 4), np.uint8)
    thing[100:200, 50:350] = (0, 0, 255, 255)
    thing[99, 50:350] = (255, 255, 255, 8)  # next to nothing
    for name, image in (
        ("animals/thing.png", thing),
        ("people/someone.png", thing),
        ("animals/no-edge.png", thing[..., :3]),
        ("animals/all-clear.png", np.zeros_like(thing)),
        ("animals/all-there.png", np.full_like(thing, 255)),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "animals/empty.png").write_bytes(b"")
    (tmp_path / "animals/folder.png").mkdir()
    (tmp_path / "animals/nowhere.png").symlink_to(tmp_path / "not-there.png")
    os.mkfifo(tmp_path / "animals/pipe.png")
    header = bytearray((tmp_path / "animals/thing.png").read_bytes())
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    (tmp_path / "animals/vast.png").write_bytes(header)
    (tmp_path / "animals/damaged.png").write_bytes((tmp_path / "animals/thing.png").read_bytes()[:200])
    return tmp_path


def test_things_are_pictures_with_an_outline_cut_to_what_is_seen(things: Path) -> None:
    read = Things(things)
    assert len(read) == 1
    assert read[0].shape == (64, 192, 4)
    assert (read[0][2:-2, 2:-2] == (0, 0, 255, 255)).all()  # no black from around it
    before = read.sha256
    (things / "animals/OTHER.PNG").write_bytes((things / "animals/thing.png").read_bytes())
    assert (len(Things(things)), Things(things).sha256 == before) == (2, False)


def test_a_folder_without_things_is_refused(things: Path) -> None:
    with pytest.raises(NotFoundError, match="is no folder; give one of PNG files"):
        Things(things / "none")
    (things / "animals/thing.png").unlink()
    with pytest.raises(ConfigError, match="has no PNG file with transparency"):
        Things(things)


def test_a_thing_hides_faces_and_is_none(things: Path) -> None:
    grey = np.full((320, 320, 3), 120, np.uint8)
    face = np.array([[150, 150, 162, 162, FACE]], np.float32)
    outcomes, painted = set(), 0
    for seed in range(150):
        pixels, labels, bare = paste_things(grey, face, np.array([True]), Things(things), np.random.default_rng(seed))
        assert len(labels) == len(bare) <= 1
        outcomes |= {float(labels[0, 4]) if len(labels) else None}
        painted += bool(((pixels[..., 2].astype(int) - pixels[..., 0]) > 50).any())
    assert grey.min() == grey.max() == 120  # a copy
    assert outcomes == {FACE, UNSURE, None}
    assert painted > 140
