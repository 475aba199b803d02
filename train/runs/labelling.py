"""To the labelling tool and back: COCO (CVAT, most tools) and Label Studio's own JSON."""

from __future__ import annotations

import csv
import html
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edge_agent.errors import ConfigError, NotFoundError, UsageError
from edge_agent.records import Box
from train.files import atomic_path, write_json
from train.runs.picking import Picked
from train.runs.snapshots import NOT_AS_EXPECTED, finite_box, name_of

COCO, STUDIO, SHEET = "coco.json", "label-studio.json", "picked.csv"


def write(folder: Path, picked: Sequence[Picked], labels: Sequence[str]) -> Path:
    """images/, coco.json, label-studio.json with its labelling interface, picked.csv; refuses a folder in use."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; give a new folder, so that nothing labelled is lost")
    names = [name_of(item.snapshot) for item in picked]
    for item, name in zip(picked, names, strict=True):
        with atomic_path(folder / "images" / name) as partial:
            shutil.copyfile(item.snapshot.path, partial)
    write_json(folder / COCO, _coco(picked, names, labels))
    write_json(folder / STUDIO, [_task(item, name, labels) for item, name in zip(picked, names, strict=True)])
    _write_text(folder / "label-studio-interface.xml", interface(labels))
    _write_text(folder / SHEET, _sheet(picked, names))
    return folder


def interface(labels: Sequence[str]) -> str:
    """Label Studio's labelling interface for these labels."""
    values = "\n".join(f'    <Label value="{html.escape(label, quote=True)}"/>' for label in labels)
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <RectangleLabels name="label" toName="image" canRotate="false">\n{values}\n  </RectangleLabels>\n</View>\n'
    )


def guess(item: Picked, labels: Sequence[str]) -> str:
    """The likeliest label: what the tool shows first, for a person to confirm or change."""
    said = item.snapshot.probabilities
    return max(labels, key=lambda label: said.get(label, 0.0))


def _coco(picked: Sequence[Picked], names: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    images, annotations = [], []
    for number, (item, name) in enumerate(zip(picked, names, strict=True), 1):
        shot = item.snapshot
        images.append({"id": number, "file_name": name, "width": shot.width_px, "height": shot.height_px})
        category = labels.index(guess(item, labels)) + 1
        bbox = list(shot.box.rounded())
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": category,
                "bbox": bbox,
                "area": bbox[2] * bbox[3],
                "iscrowd": 0,
            }
        )
    categories = [{"id": at, "name": label} for at, label in enumerate(labels, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _task(item: Picked, name: str, labels: Sequence[str]) -> dict[str, Any]:
    shot = item.snapshot
    value = {
        "x": 100 * shot.box.x / shot.width_px,
        "y": 100 * shot.box.y / shot.height_px,
        "width": 100 * shot.box.w / shot.width_px,
        "height": 100 * shot.box.h / shot.height_px,
        "rotation": 0,
        "rectanglelabels": [guess(item, labels)],
    }
    region = {"id": "face", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "value": value}
    region |= {"original_width": shot.width_px, "original_height": shot.height_px}
    prediction = {"score": max(shot.probabilities.values(), default=0.0), "result": [region]}
    return {
        "data": {"image": f"/data/local-files/?d=images/{name}", "use": round(item.use, 4)},
        "predictions": [prediction],
    }


def _sheet(picked: Sequence[Picked], names: Sequence[str]) -> str:
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["image", "use", "label", "margin", "camera", "visit", "at"])
    for item, name in zip(picked, names, strict=True):
        shot = item.snapshot
        rows.writerow([name, f"{item.use:.4f}", shot.label, f"{shot.margin:.4f}", shot.camera, shot.visit, shot.at])
    return out.getvalue()


def read_back(path: Path, images: Path, labels: Sequence[str]) -> dict[str, Any]:
    """A labelled export (Label Studio's JSON or COCO) as one COCO book; refuses unknown labels and pictures."""
    if not path.is_file():
        raise NotFoundError(f"no file {path}; export from the labelling tool as JSON (Label Studio) or COCO (CVAT)")
    try:
        book = json.loads(path.read_text("utf-8"))
        boxes = _from_studio(book) if isinstance(book, list) else _from_coco(book)
    except (OSError, *NOT_AS_EXPECTED) as error:
        raise ConfigError(f"{path} is neither Label Studio's JSON nor COCO: {error!r}") from error
    if not boxes:
        raise ConfigError(f"{path} has no labelled face; is it the export of a finished project?")
    for name, label, _ in boxes:
        if label not in labels:
            raise ConfigError(f"{path}: {name} has the label {label!r}; known are {', '.join(labels)}")
        if not (images / name).is_file():
            raise NotFoundError(f"{path}: no picture {images / name}; give with --images the folder that `pick` wrote")
    return _book(boxes, images, labels)


def _book(boxes: Sequence[tuple[str, str, Box]], images: Path, labels: Sequence[str]) -> dict[str, Any]:
    from train.data.readers import picture_size

    names = list(dict.fromkeys(name for name, _, _ in boxes))
    numbers = {name: at for at, name in enumerate(names, 1)}
    sizes = {name: picture_size(images / name) for name in names}
    for name, _, box in boxes:
        wide, high = sizes[name]
        # A tool's percentages and rounding may pass an edge by a pixel.
        if box.x < -1 or box.y < -1 or box.x + box.w > wide + 1 or box.y + box.h > high + 1:
            place = ", ".join(f"{v:.0f}" for v in (box.x, box.y, box.w, box.h))
            raise ConfigError(
                f"{name}: the box {place} is not inside its {wide}x{high} pixels; is it the picture that was labelled?"
            )
    return {
        "images": [{"id": numbers[n], "file_name": n, "width": sizes[n][0], "height": sizes[n][1]} for n in names],
        "annotations": [
            {
                "id": at,
                "image_id": numbers[name],
                "category_id": labels.index(label) + 1,
                "bbox": [round(v, 2) for v in (box.x, box.y, box.w, box.h)],
                "area": round(box.area, 2),
                "iscrowd": 0,
            }
            for at, (name, label, box) in enumerate(boxes, 1)
        ],
        "categories": [{"id": at, "name": label} for at, label in enumerate(labels, 1)],
    }


def _from_studio(tasks: list[dict[str, Any]]) -> list[tuple[str, str, Box]]:
    """Regions of the newest annotation of each task that a person did not cancel."""
    out = []
    for task in tasks:
        done = [a for a in task.get("annotations", []) if not a.get("was_cancelled")]
        for region in done[-1]["result"] if done else []:
            if region.get("type") != "rectanglelabels":
                continue
            value = region["value"]
            name = _file_name(task["data"]["image"])
            if value.get("rotation"):
                raise ConfigError(f"{name}: a rectangle is rotated; faces have upright boxes, draw it again")
            wide, high = region["original_width"] / 100, region["original_height"] / 100
            box = finite_box((value["x"] * wide, value["y"] * high, value["width"] * wide, value["height"] * high))
            out.append((name, str(value["rectanglelabels"][0]), box))
    return out


def _from_coco(book: dict[str, Any]) -> list[tuple[str, str, Box]]:
    files = {item["id"]: Path(item["file_name"]).name for item in book["images"]}
    names = {item["id"]: str(item["name"]) for item in book["categories"]}
    return [(files[a["image_id"]], names[a["category_id"]], finite_box(a["bbox"])) for a in book["annotations"]]


def _file_name(url: str) -> str:
    """The picture's name in what Label Studio calls it: a local-files URL, an upload, or a path."""
    parts = urlsplit(url)
    return Path(parse_qs(parts.query).get("d", [parts.path])[0]).name


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as partial:
        partial.write_text(text, "utf-8")
