"""What the checks find, as rows that a page and a CSV file show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.records import Box
from train.check.scan import Look, near_pairs
from train.data import Problem, Sample

KINDS = {
    "split": "faults of the split and of its classes",
    "label_file": "labels that cannot be read",
    "unknown_class": "labels of a class that `classes` does not know",
    "corrupt": "pictures that do not decode, are cut off or empty",
    "across_splits": "duplicates and near-duplicates on two sides of the split",
    "outside": "boxes that lie outside their picture by more than 2 px",
    "no_area": "boxes under 1 px, or with corners in the wrong order: left out",
    "tiny": "boxes under 8 px",
    "duplicate_box": "boxes labelled twice (IoU over 0.8)",
    "duplicate": "byte-identical pictures within a side",
    "near_duplicate": "near-duplicates within a side whose group differs",
    "doubtful_label": "labels that a trained model finds unlikely",
}
SERIOUS = ("split", "label_file", "unknown_class", "corrupt", "across_splits", "outside", "no_area", "duplicate_box")


@dataclass(frozen=True, slots=True)
class Finding:
    """kind: a key of KINDS. paths: pictures to show. ids: samples or pictures concerned."""

    kind: str
    set: str
    split: str
    ids: tuple[str, ...]
    detail: str
    paths: tuple[Path, ...]
    box: Box | None = None


def of_reading(problems: Sequence[Problem]) -> list[Finding]:
    """What could not be read, mapped or split."""
    return [Finding(p.kind, p.set, p.split, (p.id,), p.text, ()) for p in problems]


def of_pictures(looks: Sequence[Look], samples: Sequence[Sample]) -> list[Finding]:
    """Corrupt files, duplicates, and above all duplicates across splits."""
    first: dict[Path, Sample] = {}
    for sample in samples:
        first.setdefault(sample.image_path, sample)
    out = []
    for item in looks:
        if item.fault:
            s = first[item.path]
            out.append(Finding("corrupt", s.set, s.split, (s.id.rsplit("#", 1)[0],), item.fault, (item.path,)))
    for a, b, bits in near_pairs(looks):
        one, other = first[looks[a].path], first[looks[b].path]
        same = looks[a].sha256 == looks[b].sha256
        if one.split != other.split:
            kind = "across_splits"
        elif same:
            kind = "duplicate"
        elif one.group != other.group:
            kind = "near_duplicate"
        else:
            continue
        ids = tuple(s.id.rsplit("#", 1)[0] for s in (one, other))
        detail = f"{one.split} and {other.split}: " + ("the same bytes" if same else f"{bits} of 256 bits differ")
        out.append(
            Finding(kind, one.set, f"{one.split}/{other.split}", ids, detail, (one.image_path, other.image_path))
        )
    return out


def of_boxes(looks: Sequence[Look], samples: Sequence[Sample]) -> list[Finding]:
    """Boxes outside the picture, too small, or there twice."""
    sizes = {item.path: (item.width, item.height) for item in looks}
    out = []
    pages: dict[Path, list[Sample]] = defaultdict(list)
    for s in samples:
        if s.box is None:
            continue
        width, height = sizes[s.image_path]
        b = s.box
        over = max(-b.x, -b.y, b.x + b.w - width, b.y + b.h - height)
        if width and over > 2:
            detail = f"{over:.0f} px outside of {width} x {height}"
            out.append(Finding("outside", s.set, s.split, (s.id,), detail, (s.image_path,), b))
        if b.shorter_side < 8:
            out.append(Finding("tiny", s.set, s.split, (s.id,), f"{b.w:.0f} x {b.h:.0f} px", (s.image_path,), b))
        for earlier in pages[s.image_path]:
            if earlier.box and earlier.box.iou(b) > 0.8:
                detail = f"{earlier.label} and {s.label}"
                ids = (earlier.id, s.id)
                out.append(Finding("duplicate_box", s.set, s.split, ids, detail, (s.image_path,), b))
        pages[s.image_path].append(s)
    return out


def balance(samples: Sequence[Sample]) -> list[tuple[str, str, str, int, int, int, int, int]]:
    """Rows of set, split, label, faces, and how many are under 16, 16 to 32, 32 to 64, over 64 px."""
    counts: dict[tuple[str, str, str], Counter[int]] = defaultdict(Counter)
    for s in samples:
        size = 0 if s.side_px < 16 else 1 if s.side_px < 32 else 2 if s.side_px < 64 else 3
        counts[s.set, s.split, s.label][size] += 1
    return [(*key, sum(c.values()), c[0], c[1], c[2], c[3]) for key, c in sorted(counts.items())]
