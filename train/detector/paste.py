"""Put into photographs: drawn people, who look away, nod or show a profile, or are seen from behind; and things."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from edge_agent.records import F32, U8
from train.detector.geometry import areas, shorter_sides
from train.detector.labels import FACE, UNSURE
from train.detector.things import Things
from train.people.bank import Bank
from train.people.cutout import Cutout

_SMALLEST_PX, _LARGEST_PX = 9.0, 110.0  # of a face's shorter side
_MOST = 3  # people, or things, at once
_SMALLEST_THING_PX, _LARGEST_THING_PX = 14.0, 180.0  # of a thing's longer side
_HIDDEN, _PARTLY_HIDDEN = 0.85, 0.2  # of a face, by people before it


def paste_people(pixels: U8, labels: F32, bare: np.ndarray, bank: Bank, rng: Generator) -> tuple[U8, F32, np.ndarray]:
    """One to three people before what the picture shows: pixels, labels (n, 5), and which of them are bare, (n,).

    What a drawn person wears is not for others to draw over, so none counts as bare. From behind there is no label;
    what is neither face nor back, and a face that is partly hidden, is unsure.
    """
    out = pixels.copy()
    for _ in range(rng.integers(1, _MOST + 1)):
        person = bank[int(rng.integers(len(bank)))]
        box, alpha = _put(out, person, _SMALLEST_PX, 0.0, rng)
        labels, bare = _hide(labels, bare, alpha)
        if not person.is_back:
            label = _label(box, out.shape[1], out.shape[0], person.is_face)
            labels, bare = np.concatenate([labels, label]), np.concatenate([bare, np.zeros(len(label), bool)])
    return out, labels, bare


def put_person(pixels: U8, person: Cutout, smallest_px: float, rng: Generator) -> tuple[U8, F32]:
    """Somebody well inside a photograph, the face of that size and more: a new picture, and the face's box (4,)."""
    out = pixels.copy()
    box, _ = _put(out, person, smallest_px, 0.15, rng)
    return out, box


def _put(out: U8, person: Cutout, smallest_px: float, inset: float, rng: Generator) -> tuple[F32, F32]:
    """Put a person into the picture, `inset` of its sides from its edges: the face's box, what each pixel hides."""
    side = float(shorter_sides(person.box[None])[0])
    scale = np.exp(rng.uniform(np.log(smallest_px), np.log(_LARGEST_PX))) / max(side, 1.0)
    cut, box = _placed(person.pixels, person.box, scale, bool(rng.random() < 0.5))
    middle = rng.uniform(inset, 1 - inset, 2) * out.shape[1::-1]
    corner = (middle - (box[:2] + box[2:]) / 2).astype(int)
    alpha = _blend(out, _without_an_end(cut, corner, out.shape[0], rng), corner, rng)
    return box + np.tile(corner, 2).astype(np.float32), alpha


def paste_things(
    pixels: U8, labels: F32, bare: np.ndarray, things: Things, rng: Generator
) -> tuple[U8, F32, np.ndarray]:
    """One to three things before what the picture shows, which get no label; as `paste_people`."""
    out = pixels.copy()
    for _ in range(rng.integers(1, _MOST + 1)):
        thing = things[int(rng.integers(len(things)))]
        longer = np.exp(rng.uniform(np.log(_SMALLEST_THING_PX), np.log(_LARGEST_THING_PX)))
        rows, columns = thing.shape[:2]
        scale = max(longer / max(rows, columns), 2 / min(rows, columns))
        cut, _ = _placed(thing, np.zeros(4, np.float32), scale, bool(rng.random() < 0.5))
        middle = rng.uniform(0, 1, 2) * out.shape[1::-1]
        alpha = _blend(out, cut, (middle - np.array(cut.shape[1::-1]) / 2).astype(int), rng)
        labels, bare = _hide(labels, bare, alpha)
    return out, labels, bare


def _placed(pixels: U8, box: F32, scale: float, mirrored: bool) -> tuple[F32, F32]:
    """The cutout at a size, float32 BGRA from 0 to 1, colours times alpha, and the box of its face there."""
    if mirrored:
        width = pixels.shape[1]
        pixels, box = pixels[:, ::-1], np.array([width - box[2], box[1], width - box[0], box[3]], np.float32)
    cut = pixels.astype(np.float32) / 255
    cut[..., :3] *= cut[..., 3:]  # else the black around it darkens its edge
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, None, fx=scale, fy=scale, interpolation=way), np.float32), box * scale


def _without_an_end(cut: F32, corner: np.ndarray, rows: int, rng: Generator) -> F32:
    """A cutout whose chest, where it ends in the picture, fades away instead of having an edge."""
    seen = cut[max(0, -int(corner[1])) :]
    if int(corner[1]) + len(cut) >= rows or len(seen) == 0:
        return cut
    from_below = np.arange(len(cut), 0, -1, dtype=np.float32)[:, None, None]
    return cut * np.clip(from_below / (rng.uniform(0.03, 0.3) * len(seen)), 0, 1)


def _blend(out: U8, cut: F32, corner: np.ndarray, rng: Generator) -> F32:
    """Put a cutout into the picture, in its light and sharpness. How much of each pixel it hides, (height, width)."""
    rows, columns = out.shape[:2]
    left, top = (int(v) for v in corner)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(columns, left + cut.shape[1]), min(rows, top + cut.shape[0])
    hidden = np.zeros((rows, columns), np.float32)
    if x0 >= x1 or y0 >= y1:
        return hidden
    part = cut[y0 - top : y1 - top, x0 - left : x1 - left].copy()
    area = out[y0:y1, x0:x1].astype(np.float32) / 255
    if rng.random() < 0.6:  # as light as what is there
        own = float(part[..., :3].mean(axis=2).sum() / max(1.0, float(part[..., 3].sum())))
        part[..., :3] *= np.clip(float(area.mean()) / max(own, 0.03), 0.5, 2.0) ** rng.uniform(0.2, 1.0)
    if rng.random() < 0.5:
        part = cv2.GaussianBlur(part, (0, 0), float(rng.uniform(0.3, 1.3)))
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(0.008, 0.035), (*part.shape[:2], 1)).astype(np.float32)
        part[..., :3] += noise * part[..., 3:]
    mixed = part[..., :3] + area * (1 - part[..., 3:])
    out[y0:y1, x0:x1] = (np.clip(mixed, 0, 1) * 255).astype(np.uint8)
    hidden[y0:y1, x0:x1] = part[..., 3]
    return hidden


def _hide(labels: F32, bare: np.ndarray, alpha: F32) -> tuple[F32, np.ndarray]:
    """Labels of what is still seen; a face that is now partly hidden is unsure."""
    shares = np.zeros(len(labels))
    for row, label in enumerate(labels):
        x0, y0, x1, y1 = (int(v) for v in (*np.floor(label[:2]), *np.ceil(label[2:4])))
        shares[row] = alpha[y0:y1, x0:x1].mean()
    seen = labels.copy()
    seen[shares > _PARTLY_HIDDEN, 4] = UNSURE
    return seen[shares <= _HIDDEN], bare[shares <= _HIDDEN]


def _label(box: F32, width: int, height: int, is_face: bool) -> F32:
    """Row (1, 5) of a face in the picture, or none, (0, 5)."""
    inside = np.clip(box, 0, (width, height, width, height)).astype(np.float32)
    visible = float(areas(inside[None])[0] / max(1e-6, float(areas(box[None])[0])))
    if visible < 0.02:
        return np.zeros((0, 5), np.float32)
    sure = is_face and visible > 0.55 and float(shorter_sides(inside[None])[0]) >= _SMALLEST_PX - 0.5
    return np.append(inside, FACE if sure else UNSURE).astype(np.float32)[None]
