"""`python -m train check-data`: what is wrong with the photographs, the labels and the split."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path

FIRST = 20  # serious findings told on the terminal; the CSV file has all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", type=Path, default=Path("train/configs/shared.dataset.toml"))
    parser.add_argument(
        "--out", type=Path, default=Path("runs/check-data"), help="folder for report.html, findings.csv"
    )
    parser.add_argument("--model", type=Path, help="a finished run folder: also list labels that it finds unlikely")
    parser.add_argument("--strict", action="store_true", help="exit status 1 where something serious is found")
    parser.add_argument("--workers", type=workers, default=os.cpu_count() or 2)


def workers(text: str) -> int:
    """A count of threads, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count of workers; give 1 or more")
    return int(text)


def run(args: argparse.Namespace) -> int:
    from rich.progress import Progress

    from train.check.findings import KINDS, SERIOUS, balance, of_boxes, of_pictures, of_reading
    from train.check.page import write_csv, write_page
    from train.check.scan import scan
    from train.data.dataset import load

    dataset = load(args.dataset, lenient=True)
    paths = list(dict.fromkeys(s.image_path for s in dataset.samples))
    with Progress(transient=True) as bar:
        task = bar.add_task("pictures", total=len(paths))
        looks = list(scan(paths, args.workers, lambda done: bar.update(task, completed=done)))
    findings = [
        *of_reading(dataset.problems),
        *of_pictures(looks, dataset.samples),
        *of_boxes(looks, dataset.samples),
    ]
    if args.model:
        from train.check.doubtful import doubtful

        whole = {item.path for item in looks if item.whole}
        findings += doubtful([s for s in dataset.samples if s.image_path in whole], args.model)
    rows = balance(dataset.samples)
    write_csv(args.out / "findings.csv", findings)
    write_page(args.out / "report.html", findings, rows, len(paths))
    counted = Counter(f.kind for f in findings)
    for set_, split, label, *numbers in rows:
        print(f"{set_:12} {split:6} {label:24} {numbers[0]:6} faces, {numbers[1]} under 16 px")
    serious = [f for f in findings if f.kind in SERIOUS]
    for finding in serious[:FIRST]:
        print(f"serious: {', '.join(finding.ids)}{': ' * any(finding.ids)}{finding.detail}")
    for kind, title in KINDS.items():
        print(f"{counted[kind]:6} {title}")
    print(f"report: {args.out / 'report.html'}")
    return 1 if args.strict and serious else 0
