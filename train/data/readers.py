"""The formats people label faces in: Pascal VOC, YOLO, COCO JSON, a folder a class.

A reader yields `Labelled` in a stable order; it neither maps class names nor splits.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge_agent.errors import ConfigError, ImageError, NotFoundError
from edge_agent.records import Box

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One label as the source states it. name: the picture's name in a split file, without suffix."""

    name: str
    image_path: Path
    box: Box | None
    alias: str


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


def read_voc(images: Path, annotations: Path) -> Iterator[Labelled]:
    """Pascal VOC: one XML file a picture, of the same stem; boxes as corners."""
    for path in pictures(images):
        xml = annotations / f"{path.stem}.xml"
        if not xml.is_file():
            continue
        try:
            root = ElementTree.parse(xml).getroot()
            for item in root.iter("object"):
                left, top, right, bottom = (
                    float(item.findtext(f"bndbox/{k}") or "nan") for k in ("xmin", "ymin", "xmax", "ymax")
                )
                box = Box(left, top, right - left, bottom - top)
                yield Labelled(path.stem, path, box, (item.findtext("name") or "").strip())
        except (ElementTree.ParseError, ValueError) as error:
            raise ConfigError(f"{xml} is not a Pascal VOC file: {error}") from error


def read_yolo(images: Path, annotations: Path, names: Path | None = None) -> Iterator[Labelled]:
    """YOLO: `class centre_x centre_y width height`, fractions of the picture; names from classes.txt if there."""
    listed = names.read_text().split() if names and names.is_file() else []
    for path in pictures(images):
        txt = annotations / f"{path.stem}.txt"
        if not txt.is_file():
            continue
        width, height = picture_size(path)
        for number, line in enumerate(txt.read_text().splitlines(), 1):
            if not line.strip():
                continue
            try:
                index, x, y, w, h = line.split()[:5]
                alias = listed[int(index)] if listed else index
                wide, high = float(w) * width, float(h) * height
                box = Box(float(x) * width - wide / 2, float(y) * height - high / 2, wide, high)
            except (ValueError, IndexError) as error:
                raise ConfigError(f"{txt}:{number}: {line!r} is no YOLO label: {error}") from error
            yield Labelled(path.stem, path, box, alias)


def read_coco(images: Path, annotations: Path) -> Iterator[Labelled]:
    """COCO: one JSON file with `images`, `annotations` (bbox = left, top, width, height) and `categories`."""
    try:
        book = json.loads(annotations.read_text())
        files = {item["id"]: item["file_name"] for item in book["images"]}
        names = {item["id"]: item["name"] for item in book["categories"]}
        labels = sorted(book["annotations"], key=lambda item: (str(files[item["image_id"]]), item["id"]))
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {annotations}; a COCO set's `annotations` is one JSON file") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{annotations} is no COCO file: {error!r}") from error
    for item in labels:
        path = images / files[item["image_id"]]
        yield Labelled(path.stem, path, Box(*map(float, item["bbox"])), names[item["category_id"]])


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
