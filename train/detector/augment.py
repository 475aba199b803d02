"""Photographs to training pictures: cut, scaled, turned, put together, spoilt, as a ceiling or door camera would.

Boxes follow the geometry. A face cut to about half, or made tiny, is unsure: neither face nor background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.random import Generator
from pydantic import ConfigDict, Field

from edge_agent.preprocess import PAD_VALUE
from edge_agent.records import F32, U8
from train.detector.cache import Sample
from train.detector.drawn import cover_faces, turn_away
from train.detector.geometry import areas, shorter_sides
from train.detector.labels import FACE, UNSURE
from train.detector.paste import paste_people, paste_things
from train.detector.spoil import spoil
from train.detector.things import Things
from train.people.bank import Bank

Chance = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[float, Field(ge=1, le=10_000)]
Times = Annotated[float, Field(ge=1, le=1000)]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to a picture, with which probability or range."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)  # where it is read from a file

    min_longer_px: Pixels = 340  # a photograph's longer side is scaled into this range, log-uniform,
    max_longer_px: Pixels = 1100  # before a window is cut out of it
    max_face_px: Pixels = 300  # but no face beyond this
    min_face_px: Pixels = 9  # smaller faces become unsure
    min_visible: Chance = 0.55
    mosaic: Chance = 0.4
    rotate: Chance = 0.35
    max_angle: Annotated[float, Field(ge=0, le=180)] = 30.0
    stretch: Chance = 0.3  # wider or narrower than life: cheap lenses, wrong aspect settings; a face turned or bowed
    max_stretch: Annotated[float, Field(ge=1, le=4)] = 1.18  # the factor, or one over it, log-uniform
    hard: Times = 1.0  # how often the hardest face is aimed at, beside an easy one
    bare: Times = 1.0  # how much the score of a bare face counts, beside that of a masked one
    cover: Chance = 0.25
    turn_away: Chance = 0.0  # hair over bare faces
    things: Chance = 0.0  # things put in
    people: Chance = 0.0  # drawn people put in
    spoil: Chance = 0.7


@dataclass(frozen=True, slots=True)
class Picture:
    """pixels: uint8 BGR; labels: float32 (n, 5), corners in px, then how much a face counts, or UNSURE; bare: (n,)."""

    pixels: U8
    labels: F32
    bare: np.ndarray


def training_picture(
    samples: list[Sample],
    size: int,
    recipe: Recipe,
    rng: Generator,
    people: Bank | None = None,
    things: Things | None = None,
) -> Picture:
    """One square picture of `size` px from the first sample, or from four where it becomes a mosaic."""
    if rng.random() < recipe.mosaic:
        picture = _mosaic(samples, size, recipe, rng)
    else:
        picture = window(samples[0], size, size, recipe, rng)
    pixels, labels, bare = picture.pixels, picture.labels, picture.bare
    if rng.random() < recipe.turn_away:
        pixels, faces = turn_away(pixels, labels, bare, rng)
        labels, bare = labels[faces], bare[faces]
    labels[bare & (labels[:, 4] > 0), 4] = recipe.bare
    if things and rng.random() < recipe.things:
        pixels, labels, bare = paste_things(pixels, labels, bare, things, rng)
    if people and rng.random() < recipe.people:
        pixels, labels, bare = paste_people(pixels, labels, bare, people, rng)
    if rng.random() < recipe.cover:
        pixels = cover_faces(pixels, labels, bare, rng)
    if rng.random() < recipe.spoil:
        pixels = spoil(pixels, rng)
    return Picture(pixels, labels, bare)


def _mosaic(samples: list[Sample], size: int, recipe: Recipe, rng: Generator) -> Picture:
    """Four windows around a random centre (YOLOv4, Bochkovskiy et al., 2020)."""
    cx, cy = (int(v) for v in rng.uniform(0.3, 0.7, 2) * size)
    out = np.empty((size, size, 3), np.uint8)
    labels, bare = [], []
    corners = ((0, 0, cx, cy), (cx, 0, size, cy), (0, cy, cx, size), (cx, cy, size, size))
    for sample, (left, top, right, bottom) in zip(samples, corners, strict=False):
        part = window(sample, right - left, bottom - top, recipe, rng, shrink=0.7)
        out[top:bottom, left:right] = part.pixels
        labels.append(part.labels + np.array([left, top, left, top, 0], np.float32))
        bare.append(part.bare)
    return Picture(out, np.concatenate(labels), np.concatenate(bare))


def window(sample: Sample, width: int, height: int, recipe: Recipe, rng: Generator, shrink: float = 1.0) -> Picture:
    """A window of width x height px of one photograph, scaled, perhaps turned and flipped."""
    rows, columns = sample.pixels.shape[:2]
    scale = _scale(sample, recipe, rng, shrink)
    image = sample.pixels
    boxes = np.concatenate([sample.boxes, sample.unsure, sample.hard.decoys])
    chances = np.concatenate(
        [_chances(sample, recipe), np.ones(len(sample.unsure)), np.full(len(sample.hard.decoys), recipe.hard)]
    )
    if scale < 0.5:  # shrink by area first: bilinear sampling would alias
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes, scale = boxes * scale, 1.0
        rows, columns = image.shape[:2]
    centre = _aim(boxes, chances, rows, columns, width / scale, height / scale, rng)
    angle = rng.uniform(-recipe.max_angle, recipe.max_angle) if rng.random() < recipe.rotate else 0.0
    turn = np.deg2rad(angle)
    linear = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    if rng.random() < 0.5:
        linear[0] *= -1
    if rng.random() < recipe.stretch:
        linear[0] *= recipe.max_stretch ** rng.uniform(-1, 1)
    matrix = np.c_[linear, np.array([width / 2, height / 2]) - linear @ centre]
    border = (PAD_VALUE,) * 3 if rng.random() < 0.7 else tuple(int(v) for v in rng.integers(0, 256, 3))
    flags = cv2.INTER_LINEAR if rng.random() < 0.8 else cv2.INTER_NEAREST if rng.random() < 0.2 else cv2.INTER_CUBIC
    pixels = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderValue=border)
    labelled = boxes[: len(sample.boxes) + len(sample.unsure)]
    return _with_labels(pixels, _moved(labelled, matrix), sample, recipe)


def _scale(sample: Sample, recipe: Recipe, rng: Generator, shrink: float) -> float:
    longer = np.exp(rng.uniform(np.log(recipe.min_longer_px), np.log(recipe.max_longer_px))) * shrink
    scale = longer / max(sample.pixels.shape[:2])
    if len(sample.boxes):
        # half of the time choose the size of a face instead, so that every size is seen often
        chances = _chances(sample, recipe)
        face = float(rng.choice(shorter_sides(sample.boxes), p=chances / chances.sum()))
        if rng.random() < 0.4:
            scale = np.exp(rng.uniform(np.log(12), np.log(min(recipe.max_face_px, 260)))) / max(face, 4) * shrink
        scale = min(scale, recipe.max_face_px * shrink / max(face, 4))
    return float(np.clip(scale, 120 / max(sample.pixels.shape[:2]), 4.0))


def _chances(sample: Sample, recipe: Recipe) -> np.ndarray:
    """How often each labelled face is looked at, beside an easy one."""
    return 1.0 + (recipe.hard - 1.0) * sample.hard.faces


def _aim(
    boxes: F32, chances: np.ndarray, rows: int, columns: int, width: float, height: float, rng: Generator
) -> np.ndarray:
    """The point of the photograph that comes to the middle of the window: mostly one that shows a face."""
    if len(boxes) and rng.random() < 0.8:
        box = boxes[rng.choice(len(boxes), p=chances / chances.sum())]
        jitter = rng.uniform(-0.45, 0.45, 2) * (width, height)
        aim = (box[:2] + box[2:]) / 2 + jitter
    else:
        aim = rng.uniform(0, 1, 2) * (columns, rows)
    # keep the window on the photograph where it is large enough
    half = np.array([width, height]) / 2
    low, high = np.minimum(half, (columns / 2, rows / 2)), np.array([columns, rows], float)
    return np.clip(aim, low, np.maximum(low, high - half))


def _moved(boxes: F32, matrix: np.ndarray) -> F32:
    """Boxes after an affine map; a face turns as an ellipse does, whose box is tighter than that of the corners."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    reach = np.sqrt(half**2 @ (matrix[:, :2] ** 2).T)
    return np.concatenate([centre - reach, centre + reach], axis=1).astype(np.float32)


def _with_labels(pixels: U8, boxes: F32, sample: Sample, recipe: Recipe) -> Picture:
    height, width = pixels.shape[:2]
    clipped = np.clip(boxes, 0, (width, height, width, height)).astype(np.float32)
    visible = areas(clipped) / np.maximum(areas(boxes), 1e-6)
    kind = np.where(np.arange(len(boxes)) < len(sample.boxes), FACE, UNSURE)
    doubtful = (visible < recipe.min_visible) | (shorter_sides(clipped) < recipe.min_face_px)
    labels = np.c_[clipped, np.where(doubtful, UNSURE, kind)].astype(np.float32)
    bare = np.concatenate([sample.bare, np.zeros(len(sample.unsure), bool)])
    seen = (visible > 0.02) & (shorter_sides(clipped) > 1)
    return Picture(pixels, labels[seen], bare[seen])
