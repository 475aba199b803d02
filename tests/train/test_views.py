"""Regions, drawn masks, augmentation, banks of draws."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import ImageError, NotFoundError
from edge_agent.preprocess import crop
from edge_agent.records import Box
from train.augment import distort, jittered_crop
from train.config import AugmentConfig, BalanceConfig, ModelConfig, TrainConfig
from train.crops import exact_crops
from train.data import load
from train.draws import Views
from train.faces import Region, cut, regions, smaller
from train.landmarks import LandmarkFinder
from train.masks import draw, face_frame

LANDMARKS = np.array([[70, 80], [130, 80], [100, 110], [80, 140], [120, 140]], np.float32)


def face_region() -> Region:
    bgr = np.full((240, 200, 3), 90, np.uint8)
    cv2.ellipse(bgr, (100, 110), (60, 80), 0, 0, 360, (150, 180, 220), -1)
    return Region(bgr, Box(40, 30, 120, 160), LANDMARKS)


def test_a_region_gives_the_same_crop_as_the_whole_picture() -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    box = Box(150, 100, 60, 80)
    region = cut(bgr, box)
    assert (crop(region.bgr, region.box, 64, 0.2) == crop(bgr, box, 64, 0.2)).all()


def test_a_region_at_the_edge_of_the_picture_keeps_the_crop() -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (120, 120, 3)).astype(np.uint8)
    box = Box(90, 90, 50, 50)
    region = cut(bgr, box)
    assert (crop(region.bgr, region.box, 48, 0.1) == crop(bgr, box, 48, 0.1)).all()


def test_regions_come_from_the_cache_on_the_second_call(drawn_data: Path, tmp_path: Path) -> None:
    samples = load(drawn_data).of("train")
    first = regions(samples, tmp_path, None)
    stamp = next(tmp_path.glob("regions-*/pixels.bin")).stat().st_mtime_ns
    again = regions(samples, tmp_path, None)
    assert next(tmp_path.glob("regions-*/pixels.bin")).stat().st_mtime_ns == stamp
    assert (first[3].bgr == again[3].bgr).all()
    assert first[3].box == again[3].box


def test_a_picture_that_does_not_decode_is_named(drawn_data: Path, tmp_path: Path) -> None:
    samples = load(drawn_data).of("val")[:2]
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture at all")
    broken = [type(samples[0])("s", bad, None, "with_mask", "g", "val", "s/bad#0")]
    with pytest.raises(ImageError, match=r"bad\.png"):
        exact_crops(broken, 32, 0.1)


def test_half_a_jpeg_is_named_before_its_grey_part_is_taken_for_a_face(drawn_data: Path, tmp_path: Path) -> None:
    sample = next(s for s in load(drawn_data).of("val") if s.box is not None)
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    half = tmp_path / "half.jpg"
    whole = cv2.imencode(".jpg", noise)[1].tobytes()
    half.write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    assert cv2.imread(str(half)) is not None, "OpenCV takes the file for a picture"
    broken = [dataclasses.replace(sample, image_path=half)]
    for read in (lambda: exact_crops(broken, 32, 0.1), lambda: regions(broken, tmp_path, None)):
        with pytest.raises(ImageError, match=r"half\.jpg is damaged \(grey from some line on"):
            read()


def test_a_mask_worn_well_covers_the_nose_and_one_worn_badly_shows_nose_or_mouth() -> None:
    region = face_region()
    nose, mouth = (110, 100), (140, 100)
    for seed in range(20):
        well = draw(region, np.random.default_rng(seed), bad=False)
        badly = draw(region, np.random.default_rng(seed), bad=True)
        assert well is not None
        assert badly is not None
        moved_well = np.abs(well.astype(int) - region.bgr).sum(2)
        assert moved_well[nose] > 0
        assert moved_well[mouth] > 0
        assert (badly != region.bgr).any()


def test_no_mask_is_drawn_without_landmarks_or_on_a_profile() -> None:
    unknown = Region(face_region().bgr, Box(40, 30, 120, 160), np.full((5, 2), np.nan, np.float32))
    profile = LANDMARKS.copy()
    profile[:, 0] = (100, 104, 130, 102, 106)
    assert draw(unknown, np.random.default_rng(0), bad=True) is None
    assert face_frame(profile) is None


def test_a_donors_mask_is_moved_over() -> None:
    donor = face_region()
    donor.bgr[100:180, 50:150] = (10, 200, 10)
    out = draw(face_region(), np.random.default_rng(2), bad=False, donor=donor)
    assert out is not None
    green = out.astype(int)[..., 1] - out.astype(int)[..., 2]
    assert (green > 40).sum() > 500


def test_a_smaller_region_keeps_its_face_in_place() -> None:
    region = face_region()
    small = smaller(region, 60)
    assert max(small.box.w, small.box.h) == pytest.approx(60)
    before = (region.landmarks[2] - (region.box.x, region.box.y)) / region.box.w
    after = (small.landmarks[2] - (small.box.x, small.box.y)) / small.box.w
    assert after == pytest.approx(before, abs=0.02)


def test_augmentation_is_the_same_for_the_same_seed_and_none_at_strength_zero() -> None:
    region, config = face_region(), AugmentConfig()
    one, two = (
        distort(jittered_crop(region, 64, 0.1, rng, config), rng, config, 90)
        for rng in (np.random.default_rng(5), np.random.default_rng(5))
    )
    assert (one == two).all()
    off = AugmentConfig(strength=0)
    rng = np.random.default_rng(5)
    plain = distort(jittered_crop(region, 64, 0.1, rng, off), rng, off, 90)
    assert (plain == crop(region.bgr, region.box, 64, 0.1)).all()


def test_a_bank_draws_classes_in_the_shares_asked_for(drawn_data: Path, tmp_path: Path) -> None:
    dataset = load(drawn_data)
    samples = dataset.of("train")
    shares = {"with_mask": 0.2, "without_mask": 0.2, "mask_weared_incorrect": 0.6}
    config = TrainConfig(
        dataset=drawn_data, bank_size=100, model=ModelConfig(input_size_px=32), balance=BalanceConfig(shares=shares)
    )
    views = Views(samples, regions(samples, tmp_path, None), dataset.labels, config)
    drawn = [d.label for d in views.bank(0)]
    assert [drawn.count(i) for i in range(3)] == [20, 20, 60]
    assert views.bank(0) == views.bank(0)
    assert views.bank(0) != views.bank(1)
    assert views.view(views.bank(0)[0]).shape == (32, 32, 3)


def test_a_missing_landmarks_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no landmarks model .*gone\.onnx"):
        LandmarkFinder(tmp_path / "gone.onnx")
