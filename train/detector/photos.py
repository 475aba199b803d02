"""Photographs with labelled faces, read from Pascal VOC or YOLO files and the one split everybody reports on."""

from __future__ import annotations

import csv
import hashlib
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_agent.errors import ConfigError, ImageError, NotFoundError
from edge_agent.records import F32, U8
from train.photographs import read_photograph

MASKED, BARE, BADLY_MASKED = "with_mask", "without_mask", "mask_weared_incorrect"
_SAME_CLASS = {
    "with_mask": MASKED,
    "HaveMask": MASKED,
    "without_mask": BARE,
    "NoMask": BARE,
    "mask_weared_incorrect": BADLY_MASKED,
    "with_incorrect_mask": BADLY_MASKED,
}
_YOLO_CLASSES = (MASKED, BARE)
FACELESS = "negatives"  # the set of photographs without a face
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph. boxes: float32 (n, 4), left, top, right, bottom in its pixels; classes: n names.

    portrait: the class of the one face that it shows and nobody drew a box around; "" where boxes are known.
    """

    source: str
    name: str
    path: Path
    boxes: F32
    classes: tuple[str, ...]
    portrait: str = ""

    def pixels(self) -> U8:
        """uint8 BGR (height, width, 3). Raises NotFoundError, or ImageError for a picture that is not whole."""
        return read_photograph(self.path)

    def sha256(self) -> str:
        """Of the file; "" where it cannot be read, which `pixels` says."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return ""


def read_photos(data: Path, split: str, sources: tuple[str, ...]) -> list[Photo]:
    """The photographs of one split ("train", "val", "test"), in the order of splits.csv."""
    table = data / "splits.csv"
    if not table.is_file():
        raise NotFoundError(f"{table} is not there; give the folder with the photographs as --data")
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"set", "image", "split"} <= set(rows[0]):
        raise ConfigError(f"{table} has no rows with set, image and split")
    unknown = set(sources) - {row["set"] for row in rows}
    if unknown:
        known = ", ".join(sorted({row["set"] for row in rows}))
        raise ConfigError(f"{table} has no set {sorted(unknown)[0]!r}; it has {known}")
    wanted = [(row["set"], row["image"]) for row in rows if row["split"] == split and row["set"] in sources]
    if not wanted:
        raise ConfigError(f"{table} has no photograph of {', '.join(sources)} in {split}; choose another split or set")
    return [_read_photo(data, source, name) for source, name in wanted]


def read_faceless(folder: Path) -> list[Photo]:
    """Photographs without a face, every JPEG, PNG and WebP file below a folder, as more of the set "negatives".

    Raises NotFoundError where there is no folder, ConfigError where it has none.
    """
    if not folder.is_dir():
        raise NotFoundError(f"--faceless {folder} is no folder; give one of photographs without a face")
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in _PICTURES)
    if not paths:
        raise ConfigError(f"--faceless {folder} has no {', '.join(_PICTURES)} file")
    nothing = np.zeros((0, 4), np.float32)
    return [Photo(FACELESS, f"{folder.name}/{path.relative_to(folder)}", path, nothing, ()) for path in paths]


def whole_ones(photos: Sequence[Photo]) -> list[Photo]:
    """Those whose pixels can be had; the others are named on stderr. Raises ImageError where none is left."""
    whole, faults = [], []
    for photo in photos:
        try:
            photo.pixels()
            whole.append(photo)
        except ImageError as error:
            faults.append(str(error))
    say_left_out(faults)
    if not whole:
        raise ImageError(f"no photograph is left, {len(faults)} damaged, the first: {faults[0]}")
    return whole


def say_left_out(faults: Sequence[str]) -> str:
    """Name each photograph that is left out on stderr, a line each; how many they are, to go on a line of figures."""
    for fault in faults:
        print(f"train: {fault}; it is left out", file=sys.stderr, flush=True)
    return f", {len(faults)} damaged and left out" if faults else ""


def _read_photo(data: Path, source: str, name: str) -> Photo:
    if source == FACELESS:
        path = data / source / (name if name.endswith(".jpg") else f"{name}.jpg")
        return Photo(source, name, path, np.zeros((0, 4), np.float32), ())
    if source == "crops":
        path = data / source / f"{name}.jpg"
        return Photo(source, name, path, np.zeros((0, 4), np.float32), (), portrait=name.split("/")[0])
    image = data / source / "images" / f"{name}.jpg"
    voc = data / source / "annotations" / f"{name}.xml"
    if voc.is_file():
        boxes, classes = _read_voc(voc)
    else:
        boxes, classes = _read_yolo(data / source / "labels" / f"{name}.txt", image)
    return Photo(source, name, image, boxes, classes)


def _read_voc(path: Path) -> tuple[F32, tuple[str, ...]]:
    boxes, classes = [], []
    try:
        for item in ET.parse(path).getroot().iter("object"):
            found = item.find("bndbox")
            if found is None:
                continue
            boxes.append([float(found.findtext(key, "0")) for key in ("xmin", "ymin", "xmax", "ymax")])
            classes.append(_SAME_CLASS[item.findtext("name", "")])
    except (ET.ParseError, ValueError) as error:
        raise ConfigError(f"{path} is not a Pascal VOC file: {error}") from error
    except KeyError as error:
        raise ConfigError(f"{path} has the class {error}; known are {', '.join(_SAME_CLASS)}") from error
    return np.asarray(boxes, np.float32).reshape(-1, 4), tuple(classes)


def _read_yolo(path: Path, image: Path) -> tuple[F32, tuple[str, ...]]:
    if not path.is_file():
        raise NotFoundError(f"{image} has no labels: neither {path} nor a Pascal VOC file")
    try:
        rows = np.loadtxt(path, dtype=np.float32, ndmin=2).reshape(-1, 5)
    except ValueError as error:
        raise ConfigError(f"{path} is no YOLO file: {error}") from error
    if len(rows) and not set(rows[:, 0]) <= set(range(len(_YOLO_CLASSES))):
        raise ConfigError(f"{path} has a class other than 0 ({MASKED}) and 1 ({BARE})")
    try:
        height, width = read_photograph(image).shape[:2]
    except ImageError:  # whoever asks for its pixels is told; without them its boxes are nowhere
        return np.zeros((0, 4), np.float32), ()
    centre, size = rows[:, 1:3] * (width, height), rows[:, 3:5] * (width, height)
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32)
    return boxes, tuple(_YOLO_CLASSES[int(row[0])] for row in rows)
