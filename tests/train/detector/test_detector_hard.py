"""What the starting network does badly is seen more often, and never mislabelled for it."""

from __future__ import annotations

import argparse
import json
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_agent.errors import ConfigError
from edge_agent.records import F32, U8, Box, Face
from train.detector.augment import FACE, Recipe, window
from train.detector.batches import batches
from train.detector.cache import Cache, Hard, Sample
from train.detector.hard import find_hard
from train.detector.train_command import add_arguments, run

LEFT, RIGHT = [20, 60, 60, 110], [300, 60, 340, 110]


class SeesTheLeft:
    """Finds the left face surely, the right one hardly, and something beside both."""

    name, score_threshold = "left", 0.5

    def detect(self, bgr: U8) -> list[Face]:
        return [Face(Box(20, 60, 40, 50), 0.9), Face(Box(300, 60, 40, 50), 0.4), Face(Box(150, 200, 40, 40), 0.6)]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A photograph with two faces, one without any, a portrait; each of its own grey."""
    pictures = [np.full((300, 400, 3), grey, np.uint8) for grey in (50, 100, 150)]
    (tmp_path / "pixels.bin").write_bytes(b"".join(picture.tobytes() for picture in pictures))
    boxes = {"ilc2021/two": [LEFT, RIGHT], "negatives/none": [], "crops/one": [LEFT]}
    entries = [
        {"name": name, "offset": 360_000 * n, "shape": [300, 400, 3], "boxes": found, "bare": [True] * len(found)}
        for n, (name, found) in enumerate(boxes.items())
    ]
    (tmp_path / "photographs.json").write_text(json.dumps({"asked": [], "entries": entries}))
    return Cache(tmp_path)


def test_a_face_of_a_low_score_is_hard_and_a_false_box_counts_where_surely_nobody_is(cache: Cache) -> None:
    two, none, one = find_hard(cache, SeesTheLeft())
    assert two.faces == pytest.approx([0.0, (0.75 - 0.4) / 0.4])
    assert len(two.decoys) == 0  # it may be a face that nobody labelled
    assert len(none.decoys) == 3
    assert none.most == 1.0
    assert one.most == 0.0


def test_a_face_that_is_turned_away_is_hard_however_well_it_is_found(cache: Cache) -> None:
    (two, *_), away = find_hard(cache, SeesTheLeft()), np.array([0.8, 0.3], np.float32)
    cache.turned_away = lambda number: away[: len(cache[number].boxes)]  # type: ignore[method-assign]
    assert find_hard(cache, SeesTheLeft())[0].faces == pytest.approx(two.faces)
    assert find_hard(cache, SeesTheLeft(), turned_is_hard=True)[0].faces == pytest.approx([0.8, two.faces[1]])


def test_decoys_that_are_known_are_kept(cache: Cache) -> None:
    cache.hard[0] = Hard(np.zeros(2, np.float32), np.array([[150, 20, 190, 60]], np.float32))
    assert find_hard(cache, SeesTheLeft())[0].decoys.tolist() == [[150, 20, 190, 60]]


def test_a_hard_photograph_is_drawn_more_often(cache: Cache) -> None:
    cache.hard = [Hard.easy(2), Hard(np.zeros(0, np.float32), np.array([LEFT], np.float32)), Hard.easy(1)]
    recipe = Recipe(mosaic=0, cover=0, spoil=0, rotate=0, hard=8.0)
    stream = batches(cache, lambda images: images.astype("float32"), 64, 100, {}, recipe, seed=1, threads=1)
    with closing(stream):
        greys = next(stream)[0][:, 32, 32, 0]
    assert 70 <= np.count_nonzero(greys == 100) <= 90  # 8 of 10


def test_threads_that_make_batches_end_when_nobody_wants_more(cache: Cache) -> None:
    before = threading.active_count()
    stream = batches(cache, lambda images: images.astype("float32"), 64, 4, {}, Recipe(), seed=1, threads=2)
    next(stream)
    assert threading.active_count() == before + 2
    stream.close()
    assert threading.active_count() == before


def test_what_goes_wrong_in_such_a_thread_is_raised(cache: Cache) -> None:
    def broken(images: U8) -> F32:
        raise MemoryError("no room for a batch")

    stream = batches(cache, broken, 64, 4, {}, Recipe(), seed=1, threads=1)
    with pytest.raises(MemoryError, match="no room"):
        next(stream)


def test_windows_show_a_hard_face_more_often_and_a_decoy_is_background() -> None:
    faces, hard = np.array([LEFT, RIGHT], np.float32), Hard(np.array([0, 1], np.float32), np.zeros((0, 4), np.float32))
    pixels, nowhere = np.zeros((300, 400, 3), np.uint8), np.zeros((0, 4), np.float32)
    pixels[:, 200:] = 200
    recipe = Recipe(rotate=0, min_longer_px=400, max_longer_px=401, hard=9.0)
    sample = Sample(pixels, faces, np.array([True, True]), nowhere, hard)
    shown = [window(sample, 96, 96, recipe, np.random.default_rng(seed)).pixels.mean() > 100 for seed in range(120)]
    assert 80 <= sum(shown) <= 115
    decoy = Sample(pixels, nowhere, np.zeros(0, bool), nowhere, Hard(np.zeros(0, np.float32), faces))
    assert all(len(window(decoy, 96, 96, recipe, np.random.default_rng(seed)).labels) == 0 for seed in range(20))
    assert FACE in {
        kind for seed in range(20) for kind in window(sample, 96, 96, recipe, np.random.default_rng(seed)).labels[:, 4]
    }


def test_without_a_network_to_start_from_nothing_is_known_to_be_hard(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    config = tmp_path / "hard.toml"
    config.write_text("[recipe]\nhard = 3.0\n")
    with pytest.raises(ConfigError, match="needs a network that finds what is hard"):
        run(parser.parse_args(["--config", str(config)]))
