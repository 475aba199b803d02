"""`python -m train evaluate-face`: what a classifier says of the detector's boxes: a face, none, or in part."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent import classify, detect
from edge_agent.classify import LiteRtClassifier, open_classifier
from edge_agent.config import ClassifierConfig, DetectorConfig
from edge_agent.detect import open_detector
from edge_agent.errors import ImageError, ModelError, UsageError
from edge_agent.preprocess import crops
from edge_agent.quality import is_shown, sureness
from edge_agent.records import F32, Detector
from train import ledger
from train.detector.evaluate import Look, false_rows, found_faces, measure
from train.detector.evaluate_command import MAIN_SOURCES, as_json, table
from train.detector.geometry import corners
from train.detector.photos import FACELESS, Photo, read_faceless, read_photos, say_left_out

NOWHERE = "no labelled face"
SAYS = ("none", "in part", "surely one")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--model", type=Path, default=classify.SHIPPED, help="a classifier; unset: the shipped one")
    parser.add_argument("--detector", type=Path, default=detect.SHIPPED, help="a detector; unset: the shipped one")
    parser.add_argument("--score", type=float, default=None, help="of its boxes, instead of the detector's own")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with splits.csv")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="which half to measure on")
    parser.add_argument("--sources", nargs="*", default=list(MAIN_SOURCES), help="sets of photographs with faces")
    parser.add_argument("--faceless", type=Path, default=None, help="also a folder of photographs without a face")
    parser.add_argument("--log", type=Path, default=Path("runs/evaluations.jsonl"), help="where the run is noted")


def run(args: argparse.Namespace) -> int:
    """Print two tables: what is said of the boxes on each class of face, and on none; and what `predict` leaves out."""
    if args.score is not None and not 0 < args.score < 1:
        raise UsageError(f"--score is {args.score}; give a number between 0 and 1")
    classifier = open_classifier(ClassifierConfig(model=args.model))
    if classifier.manifest.classifier is None or classifier.manifest.classifier.face is None:
        raise ModelError(f"{args.model} does not say whether there is a face; give it a branch with train-face")
    detector = open_detector(DetectorConfig(model=args.detector, score=args.score))
    ledger.check(args.log)
    sets = {"": read_photos(args.data, args.split, tuple(args.sources))}
    if args.split == "test":
        sets[FACELESS] = read_photos(args.data, args.split, (FACELESS,))
    if args.faceless:
        sets["faceless"] = read_faceless(args.faceless)
    views: dict[str, list[_View]] = {name: [] for name in sets}
    faults: list[str] = []
    for name, photo in ((name, photo) for name, photos in sets.items() for photo in photos):
        try:
            views[name].append(_look(photo, detector, classifier))
        except ImageError as error:
            faults.append(str(error))
    left_out = say_left_out(faults)
    if not views[""]:
        raise ImageError(f"every photograph of {', '.join(args.sources)} in {args.split} is damaged; copy them again")
    counts: dict[str, NDArray[np.int64]] = {}
    for name, view in ((name, view) for name, all_ in views.items() for view in all_):
        for label, says in view.said():
            counts.setdefault(name or label, np.zeros(len(SAYS), np.int64))[says] += 1
    photographs = f"{len(views[''])} photographs{left_out}"
    print(f"{args.split} of {', '.join(args.sources)}: {photographs}, score {detector.score_threshold:g}")
    print(f"\n| boxes on | n | {' | '.join(SAYS)} |\n|---|---|{'---|' * len(SAYS)}")
    for name, row in sorted(counts.items()):
        print(f"| {name} | {row.sum()} | {' | '.join(map(str, row))} |")
    rows = [
        ("the detector", measure([view.look for view in views[""]])),
        ("predict", measure([view.shown(detector.score_threshold) for view in views[""]])),
    ]
    print(f"\n{table(rows)}")
    for name in (name for name in views if name):
        left = sum(len(view.shown(detector.score_threshold).boxes) for view in views[name])
        print(f"predict: {left} boxes on {len(views[name])} pictures without a face ({name})")
    figures = {name: dict(zip(SAYS, map(int, row), strict=True)) for name, row in counts.items()}
    shown = {name: as_json(result) for name, result in rows}
    noted = {"sources": args.sources, "left_out": len(faults), "boxes": figures, **shown}
    ledger.enter(args.log, args.model, args.split, noted)
    return 0


@dataclass(frozen=True, slots=True)
class _View:
    """A photograph, the detector's boxes, and what the classifier says of each, `Answers.faces`."""

    look: Look
    faces: F32

    def said(self) -> list[tuple[str, int]]:
        """For each box the class of the face that it lies on, or NOWHERE, and which of SAYS is said of it."""
        says = np.where(self.faces <= 0, 0, np.where(self.faces < 1, 1, 2))
        on = {int(row): self.look.photo.classes[face] for face, row in enumerate(found_faces(self.look)) if row >= 0}
        on |= {int(row): NOWHERE for row in np.flatnonzero(false_rows(self.look))}
        return [(on[row], int(says[row])) for row in sorted(on)]

    def shown(self, threshold: float) -> Look:
        """Without what `predict` leaves out."""
        answers = zip(self.look.scores, self.faces, strict=True)
        keep = np.array([is_shown(sureness(float(score), threshold), bool(face > 0)) for score, face in answers], bool)
        return Look(self.look.photo, self.look.boxes[keep], self.look.scores[keep])


def _look(photo: Photo, detector: Detector, classifier: LiteRtClassifier) -> _View:
    bgr = photo.pixels()
    found = detector.detect(bgr)
    cut = crops(bgr, [face.box for face in found], classifier.input_size_px, classifier.crop_margin)
    look = Look(photo, corners(found), np.array([face.score for face in found], np.float32))
    return _View(look, classifier.classify(cut).faces)
