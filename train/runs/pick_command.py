"""`python -m train pick FOLDER... --out SET`: snapshots worth labelling; `--labelled EXPORT` takes them back."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

LABELS = "with_mask,without_mask,mask_weared_incorrect"
SET = """# Paste into a dataset file, or train on it alone.
[[set]]
name = {name}
format = "coco"
images = {images}
annotations = {annotations}
split = "hash"
classes = {{ {classes} }}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="*", type=Path, help="a device's snapshots folders, or copies of them")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--count", type=int, default=200, help="pictures to pick at most (default: %(default)s)")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.3,
        help="uncertain: the two likeliest labels are closer (default: %(default)s)",
    )
    parser.add_argument(
        "--wanted", default="mask_weared_incorrect", help="a rare label that counts more (default: %(default)s)"
    )
    parser.add_argument(
        "--known", type=Path, nargs="*", default=[], help="folders picked before: nothing like them again"
    )
    parser.add_argument("--labels", default=LABELS, help="labels in order (default: %(default)s)")
    parser.add_argument(
        "--labelled", type=Path, help="the way back: the labelling tool's export (Label Studio JSON or COCO)"
    )
    parser.add_argument("--images", type=Path, help="with --labelled: the pictures that were labelled")


def run(args: argparse.Namespace) -> int:
    from edge_agent.errors import UsageError

    labels = [label.strip() for label in args.labels.split(",") if label.strip()]
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise UsageError(f"--labels is {args.labels!r}; give two or more different names, with commas")
    if args.labelled:
        if args.folders or not args.images:
            raise UsageError("--labelled needs --images, and no snapshots folder")
        return _back(args, labels)
    if not args.folders:
        raise UsageError("give a device's snapshots folder, or --labelled EXPORT for the way back")
    if args.count < 1 or not 0 <= args.margin <= 1:
        raise UsageError(f"--count is {args.count}, --margin {args.margin}; give 1 or more, and 0 to 1")
    return _pick(args, labels)


def _pick(args: argparse.Namespace, labels: list[str]) -> int:
    from edge_agent.errors import NotFoundError
    from train.runs import labelling, picking, snapshots

    found = snapshots.read(args.folders, labels)
    known = snapshots.known_fingerprints(args.known)
    rule = picking.Rule(args.count, args.margin, wanted=args.wanted)
    picked = picking.pick(found.snapshots, rule, known)
    for reason, count in found.left_out.items():
        print(f"left out: {count} {reason}")
    if not picked:
        raise NotFoundError(
            f"none of {len(found.snapshots)} snapshots is uncertain (cannot_tell, or a margin under {args.margin}); "
            "raise --margin, or let the device save uncertain faces"
        )
    labelling.write(args.out, picked, labels)
    print(
        f"{len(picked)} of {len(found.snapshots)} snapshots in {args.out}, the most useful first in {labelling.SHEET}"
    )
    print(
        f"import {labelling.STUDIO} into Label Studio (serve {args.out} as local files) or {labelling.COCO} into CVAT"
    )
    return 0


def _back(args: argparse.Namespace, labels: list[str]) -> int:
    from edge_agent.errors import UsageError
    from train.files import write_json
    from train.runs import labelling

    target = args.out / "annotations.json"
    if target.exists():
        raise UsageError(f"{target} is there already; give another --out")
    book = labelling.read_back(args.labelled, args.images, labels)
    write_json(target, book)
    # JSON's strings are TOML's basic strings.
    name, images, annotations = (
        json.dumps(str(word), ensure_ascii=False)
        for word in (target.resolve().parent.name, args.images.resolve(), target.resolve())
    )
    classes = ", ".join(f"{word} = {word}" for word in map(json.dumps, labels))
    text = SET.format(name=name, images=images, annotations=annotations, classes=classes)
    (args.out / "set.toml").write_text(text, "utf-8")
    print(f"{len(book['annotations'])} faces in {len(book['images'])} pictures: {target}\n{text}", end="")
    return 0
