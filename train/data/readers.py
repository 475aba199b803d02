"""The formats people label faces in: Pascal VOC, YOLO, COCO JSON, a folder a class.

A reader yields `Labelled` in a stable order; it neither maps class names nor splits. What it cannot read it hands to
`object_to`, as a `Problem`; that raises, or returns, and then the label is left out.
"""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from edge_agent.errors import ConfigError, ImageError, NotFoundError
from edge_agent.records import Box

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
LARGEST_FRACTION = 2.0  # a YOLO number above it is no share of a picture but pixels


@dataclass(frozen=True, slots=True)
class Labelled:
    """One label as the source states it. name: the picture's name in a split file, without suffix."""

    name: str
    image_path: Path
    box: Box | None
    alias: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What a data set has that no training can use. kind: label_file, unknown_class, no_area or split."""

    kind: str
    text: str
    set: str = ""
    split: str = ""
    id: str = ""


ObjectTo = Callable[[Problem], None]


def refuse(problem: Problem) -> None:
    """Raise ConfigError."""
    raise ConfigError(problem.text)


def pictures(folder: Path) -> list[Path]:
    """Pictures of a folder, in order of their names; an error where there is none."""
    if not folder.is_dir():
        raise NotFoundError(f"no folder {folder}; check `root` and `images` in the dataset file")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise NotFoundError(f"no picture in {folder}; expected {', '.join(SUFFIXES)}")
    return found


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(f"cannot decode {path}; remove it or repair it")
    return image.shape[1], image.shape[0]


def _box(left: float, top: float, width: float, height: float) -> Box:
    if not all(map(math.isfinite, (left, top, width, height))):
        raise ValueError(f"a box of {left}, {top}, {width}, {height} is not finite")
    return Box(left, top, width, height)


def read_voc(images: Path, annotations: Path, object_to: ObjectTo = refuse) -> Iterator[Labelled]:
    """Pascal VOC: one XML file a picture, of the same stem; boxes as corners. A picture without one has no label."""
    for path in pictures(images):
        xml = annotations / f"{path.stem}.xml"
        if not xml.is_file():
            continue
        try:
            labels = [_voc_object(path, item) for item in ElementTree.parse(xml).getroot().iter("object")]
        except (ElementTree.ParseError, ValueError) as error:
            object_to(Problem("label_file", f"{xml} is not a Pascal VOC file: {error}", id=path.stem))
            continue
        yield from labels


def _voc_object(path: Path, item: ElementTree.Element) -> Labelled:
    numbers = []
    for key in ("xmin", "ymin", "xmax", "ymax"):
        text = item.findtext(f"bndbox/{key}")
        if text is None:
            raise ValueError(f"an object without bndbox/{key}")
        numbers.append(float(text))
    left, top, right, bottom = numbers
    return Labelled(path.stem, path, _box(left, top, right - left, bottom - top), (item.findtext("name") or "").strip())


def read_yolo(
    images: Path, annotations: Path, names: Path | None = None, object_to: ObjectTo = refuse
) -> Iterator[Labelled]:
    """YOLO: `class centre_x centre_y width height`, fractions of the picture; a sixth number (a score) is passed over.

    names: a file of class names, one a line; without it a class is called by its number.
    """
    listed: list[str] = []
    if names is not None:
        if not names.is_file():
            raise NotFoundError(f"no file {names}; a YOLO set's `names` is a list of class names, one a line")
        listed = [line.strip() for line in names.read_text().splitlines() if line.strip()]
    for path in pictures(images):
        txt = annotations / f"{path.stem}.txt"
        if not txt.is_file():
            continue
        try:
            width, height = picture_size(path)
            lines = txt.read_text().splitlines()
        except (ImageError, UnicodeDecodeError) as error:
            object_to(Problem("label_file", f"{txt} cannot be used: {error}", id=path.stem))
            continue
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                label = _yolo_line(path, line, width, height, listed)
            except ValueError as error:
                object_to(
                    Problem("label_file", f"{txt}:{number}: {line[:80]!r} is no YOLO label: {error}", id=path.stem)
                )
                continue
            yield label


def _yolo_line(path: Path, line: str, width: int, height: int, listed: list[str]) -> Labelled:
    words = line.split()
    if len(words) not in (5, 6):
        raise ValueError(f"{len(words)} numbers, not 5 (a polygon is no box)")
    index = int(words[0])
    if index < 0 or (listed and index >= len(listed)):
        raise ValueError(f"class {index}, but `names` lists {len(listed)}" if listed else f"class {index}")
    x, y, w, h = map(float, words[1:5])
    if max(abs(x), abs(y), w, h) > LARGEST_FRACTION:
        raise ValueError("pixels, where fractions of the picture are wanted")
    wide, high = w * width, h * height
    box = _box(x * width - wide / 2, y * height - high / 2, wide, high)
    return Labelled(path.stem, path, box, listed[index] if listed else str(index))


def read_coco(images: Path, annotations: Path, object_to: ObjectTo = refuse) -> Iterator[Labelled]:
    """COCO: one JSON file with `images`, `annotations` (bbox = left, top, width, height) and `categories`.

    Boxes of a crowd (`iscrowd`) are passed over: they are no face.
    """
    if not annotations.is_file():
        raise NotFoundError(f"no file {annotations}; a COCO set's `annotations` is one JSON file")
    try:
        book = json.loads(annotations.read_text())
        files = {item["id"]: str(item["file_name"]) for item in book["images"]}
        names = {item["id"]: str(item["name"]) for item in book["categories"]}
        items = sorted(book["annotations"], key=lambda item: (files[item["image_id"]], item["id"]))
    except (ValueError, KeyError, TypeError) as error:
        object_to(Problem("label_file", f"{annotations} is no COCO file: {error!r}"))
        return
    for item in items:
        if item.get("iscrowd"):
            continue
        name = Path(files[item["image_id"]])
        try:
            label = _coco_label(images / name, name, item, names)
        except (ValueError, KeyError, TypeError) as error:
            text = f"{annotations}: annotation {item['id']} is no COCO box: {error!r}"
            object_to(Problem("label_file", text, id=name.with_suffix("").as_posix()))
            continue
        yield label


def _coco_label(path: Path, name: Path, item: dict[str, Any], names: dict[Any, str]) -> Labelled:
    left, top, width, height = map(float, item["bbox"])
    return Labelled(name.with_suffix("").as_posix(), path, _box(left, top, width, height), names[item["category_id"]])


def read_folders(images: Path) -> Iterator[Labelled]:
    """A folder a class; the whole picture is the face. The name is class/stem."""
    if not images.is_dir():
        raise NotFoundError(f"no folder {images}; check `root` and `images` in the dataset file")
    folders = sorted(path for path in images.iterdir() if path.is_dir())
    if not folders:
        raise NotFoundError(f"{images} holds no folder; a set of format `folders` has one for each class")
    for folder in folders:
        for path in pictures(folder):
            yield Labelled(f"{folder.name}/{path.stem}", path, None, folder.name)
