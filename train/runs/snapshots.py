"""What a device saved, read as candidates for labelling: pictures with the JSON that lies beside each."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from edge_agent.errors import NotFoundError
from edge_agent.privacy import CROP_MARGIN
from edge_agent.records import CANNOT_TELL, Box

HASH_SIDE = 8
# What a file that was not written by us makes of reading it.
NOT_AS_EXPECTED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved face. box: in pixels of the saved picture. fingerprint: 64 bits that near-duplicates share (dHash)."""

    path: Path
    box: Box
    width_px: int
    height_px: int
    label: str
    probabilities: dict[str, float]
    camera: str
    visit: str
    at: str
    fingerprint: int

    @property
    def margin(self) -> float:
        """The likeliest label's probability less the next one's, 0 to 1."""
        first, second = sorted((*self.probabilities.values(), 0.0), reverse=True)[:2]
        return first - second

    @property
    def entropy(self) -> float:
        """Of the probabilities, 0 (sure) to 1 (no idea)."""
        if len(self.probabilities) < 2:
            return 0.0
        spread = -sum(p * math.log(p) for p in self.probabilities.values() if p > 0)
        return spread / math.log(len(self.probabilities))

    @property
    def uncertain(self) -> bool:
        return self.label == CANNOT_TELL


@dataclass(frozen=True, slots=True)
class Found:
    """Snapshots of a folder, and why others were left out: reason -> number."""

    snapshots: tuple[Snapshot, ...]
    left_out: dict[str, int]


def read(folders: Sequence[Path], labels: Sequence[str]) -> Found:
    """Every picture below the folders that has its JSON beside it and was judged by these labels."""
    found: list[Snapshot] = []
    reasons: Counter[str] = Counter()
    for folder in folders:
        if not folder.is_dir():
            raise NotFoundError(f"no folder {folder}; give a device's snapshots folder, or a copy of it")
        for path in sorted(folder.rglob("*.jpg")):
            one = _read_one(path, labels)
            if isinstance(one, Snapshot):
                found.append(one)
            else:
                reasons[one] += 1
    if not found:
        why = ", ".join(f"{n} {reason}" for reason, n in reasons.items()) or "no .jpg below"
        raise NotFoundError(f"no usable snapshot in {', '.join(map(str, folders))}: {why}")
    return Found(tuple(found), dict(reasons))


def _read_one(path: Path, labels: Sequence[str]) -> Snapshot | str:
    """A snapshot, or the reason why it is none."""
    words = path.with_suffix(".json")
    if not words.is_file():
        return "without JSON"
    try:
        about = json.loads(words.read_text("utf-8"))
        if about.get("pictures") == "blurred":
            return "with blurred faces"
        probabilities = {str(k): float(v) for k, v in about["probabilities"].items()}
        given = finite_box(about["box"])
        label, camera, visit = str(about["label"]), str(about.get("camera", "")), str(about.get("visit", path.stem))
        at = str(about.get("at", ""))
    except (OSError, *NOT_AS_EXPECTED):
        return "with JSON that says no box and probabilities"
    if not probabilities or not all(0 <= p <= 1 for p in probabilities.values()):
        return "with JSON that says no box and probabilities"
    if not set(probabilities) <= set(labels):
        return "with other labels than --labels"
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        return "that cannot be decoded"
    rows, columns = bgr.shape[:2]
    box = (in_crop(given) if about.get("pictures", "crop") == "crop" else given).clipped(columns, rows)
    if box.shorter_side < 1:
        return "with a box outside the picture"
    return Snapshot(path, box, columns, rows, label, probabilities, camera, visit, at, _face_mark(bgr, box))


def finite_box(numbers: Sequence[Any]) -> Box:
    """Left, top, width, height as a box; ValueError where they are no finite numbers, or nothing is inside."""
    box = Box(*(float(v) for v in numbers))
    if not all(map(math.isfinite, (box.x, box.y, box.w, box.h))) or box.shorter_side <= 0:
        raise ValueError(f"{list(numbers)} is no box; give left, top, width and height in pixels")
    return box


def in_crop(box: Box) -> Box:
    """The box of a face in the crop that privacy made of it; what lay outside the picture was not saved."""
    more = CROP_MARGIN * max(box.w, box.h)
    return Box(box.x - max(0, math.floor(box.x - more)), box.y - max(0, math.floor(box.y - more)), box.w, box.h)


def fingerprint(bgr: Any) -> int:
    """dHash: is each cell darker than its right neighbour? 64 bits; a picture and its near-duplicate differ in few."""
    grey = cv2.resize(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    bits = (grey[:, 1:] > grey[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def name_of(snapshot: Snapshot) -> str:
    """A name that stays the same however often it is picked, and says nothing of the device's folders."""
    digest = hashlib.sha256(snapshot.path.read_bytes()).hexdigest()[:12]
    day = snapshot.at[:10]
    return f"{day if re.fullmatch(r'[0-9]{4}-[0-9]{2}-[0-9]{2}', day) else 'undated'}-{digest}.jpg"


def known_fingerprints(folders: Sequence[Path]) -> list[int]:
    """Fingerprints of the faces that `pick` wrote into these folders before."""
    out = []
    for folder in folders:
        try:
            book = json.loads((folder / "coco.json").read_text("utf-8"))
            names = {item["id"]: Path(item["file_name"]).name for item in book["images"]}
            known = [(folder / "images" / names[a["image_id"]], finite_box(a["bbox"])) for a in book["annotations"]]
        except (OSError, *NOT_AS_EXPECTED) as error:
            raise NotFoundError(
                f"{folder} holds no coco.json of `pick` ({error!r}); --known takes folders that it wrote before"
            ) from error
        for path, box in known:
            bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if bgr is None:
                raise NotFoundError(f"no picture {path}; --known takes whole folders that `pick` wrote before")
            inside = box.clipped(bgr.shape[1], bgr.shape[0])
            if inside.shorter_side >= 1:
                out.append(_face_mark(bgr, inside))
    return out


def _face_mark(bgr: Any, box: Box) -> int:
    left, top, width, height = box.rounded()
    return fingerprint(bgr[top : top + max(1, height), left : left + max(1, width)])
