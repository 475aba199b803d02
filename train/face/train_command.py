"""`python -m train train-face`: give a trained classifier the branch that says whether a box shows a face."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge_agent.config import DetectorConfig
from edge_agent.detect import SHIPPED, open_detector
from edge_agent.errors import ConfigError, ModelError, NotFoundError
from export.source import FACE_BRANCH, RECORD_NAME, read_record
from train.detector.photos import FACELESS, Photo, read_faceless, read_photos, say_left_out
from train.face.doubt import doubt
from train.files import require_writable, write_json
from train.runs.tracking import log_to_run
from train.settings import read_settings

if TYPE_CHECKING:
    from train.face.examples import Examples


class FaceTraining(BaseModel):
    """What a configuration file says.

    views: how often each box is seen, the first time as it is. lost, unsure: shares of the faces of val that the
    thresholds `none_below` and `sure_from` may cut off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(default=1, ge=0)
    sources: tuple[str, ...] = Field(default=("andrewmvd", "ilc2021", "aizoo", FACELESS), min_length=1)
    looked_at: str = ""  # a CSV beside the file: boxes on no label, looked at by eye (train/detector/cache.py)
    epochs: int = Field(default=8, ge=1)
    rate: float = Field(default=2e-3, gt=0, le=1)
    batch: int = Field(default=128, ge=2, le=4096)
    views: int = Field(default=3, ge=1, le=32)
    layer: str = "block_12_add"  # the last map of stride 16: later ones keep little but what tells masks apart
    filters: int = Field(default=128, ge=4, le=1024)
    lost: float = Field(default=0.01, gt=0, lt=0.5)
    unsure: float = Field(default=0.05, gt=0, lt=0.5)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("folder", type=Path, help="a trained classifier: a run folder, or kept weights")
    parser.add_argument("--config", type=Path, default=Path("train/configs/face.toml"), help="a TOML file")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with splits.csv")
    parser.add_argument("--detector", type=Path, default=SHIPPED, help="whose boxes are learnt from; a model file")
    parser.add_argument("--teacher", type=Path, default=None, help="a YuNet .onnx: finds faces that no label names")
    parser.add_argument("--people", type=Path, default=None, help="folder of `python -m train draw-people`")
    parser.add_argument("--faceless", type=Path, default=None, help="folder of more photographs without a face")
    parser.add_argument("--cache", type=Path, default=Path(".cache/face"), help="decoded photographs")
    parser.add_argument("--no-mlflow", action="store_true", help="do not log to the MLflow run of the folder")


def run(args: argparse.Namespace) -> int:
    """Train the branch; the folder then holds face.npz, and model.json its entry."""
    config = read_config(args.config)
    for path in (args.detector, args.teacher, args.people, args.faceless):
        if path is not None and not path.exists():
            raise NotFoundError(f"{path} is not there")
    record = read_record(args.folder / RECORD_NAME)
    if not record:
        raise NotFoundError(f"{args.folder / RECORD_NAME} is not there; give the folder of a trained classifier")
    if missing := [key for key in ("labels", "input_size_px", "crop_margin") if record.get(key) is None]:
        raise ModelError(f"{args.folder / RECORD_NAME} lacks {', '.join(missing)}; give a trained classifier's folder")
    require_writable(args.folder / FACE_BRANCH)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    from export.pipeline import load_classifier
    from export.source import resolve
    from train.face.branch import build_branch, save, trunk
    from train.face.fit import Maps, fit, thresholds

    keras.utils.set_random_seed(config.seed)
    source = resolve(str(args.folder))
    classifier = load_classifier(source, with_face=False)
    front = trunk(classifier, config.layer)
    branch = build_branch(front.output.shape[1:], config.filters)
    train, val = _examples(args, config, record)
    score = open_detector(DetectorConfig(model=args.detector)).score_threshold
    if not (val.faces & (val.scores >= score)).any():
        raise ConfigError(
            f"the val split has no face that {args.detector} finds at its own score; give more photographs"
        )
    print(f"{train.faces.sum()} boxes with a face, {(~train.faces).sum()} without", flush=True)
    maps = Maps.of(front, train, config.views, np.random.default_rng(config.seed))
    rng = np.random.default_rng(config.seed)
    for epoch, loss in enumerate(fit(branch, maps, config.epochs, config.rate, config.batch, rng), start=1):
        print(f"{epoch:3d}  loss {loss:.4f}", flush=True)
    figures = thresholds(Maps.of(front, val, 1, None).answers(branch), val, score, config.lost, config.unsure)
    print(json.dumps(figures), flush=True)
    if why := doubt({"metrics": figures}):
        hint = "give it more photographs or epochs, and look at what evaluate-face says"
        print(f"train: warning: the face branch {why}; {hint}", file=sys.stderr, flush=True)
    book: dict[str, Any] = config.model_dump() | {
        "none_below": figures.pop("none_below"),
        "sure_from": figures.pop("sure_from"),
        "metrics": figures,
        "parameters": branch.count_params(),
        "boxes": len(train),
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    book["weights_sha256"] = save(args.folder, branch)
    whole = {"parameters": classifier.count_params() + branch.count_params(), "face": book}
    write_json(args.folder / RECORD_NAME, record | whole)
    if not args.no_mlflow:
        figures |= {name: book[name] for name in ("none_below", "sure_from")}
        logged = {f"face_{name}": value for name, value in figures.items()}
        # beside model.keras, where export of the run, or of its registered model, looks
        log_to_run("train-face", args.folder, logged, [args.folder / FACE_BRANCH, args.folder / RECORD_NAME], "model")
    return 0


def _examples(args: argparse.Namespace, config: FaceTraining, record: dict[str, Any]) -> list[Examples]:
    """Of the train split, with drawn people and photographs without a face; and of val."""
    from train.detector.cache import Cache, ask_teacher, build_cache, open_teacher, read_looked_at
    from train.face.examples import LOWEST_SCORE, of_people, of_photographs
    from train.people.bank import Bank

    teacher = open_teacher(args.teacher) if args.teacher else None
    looked_at = read_looked_at(args.config.parent / config.looked_at) if config.looked_at else None
    detector = open_detector(DetectorConfig(model=args.detector, score=LOWEST_SCORE))
    px, margin = int(record["input_size_px"]), float(record["crop_margin"])
    rng = np.random.default_rng(config.seed)
    out = []
    for split in ("train", "val"):
        sources = config.sources if split == "train" else tuple(s for s in config.sources if s != FACELESS)
        photos: list[Photo] = read_photos(args.data, split, sources)
        if split == "train" and args.faceless:
            photos += read_faceless(args.faceless)
        folder = args.cache / split
        left_out = say_left_out(build_cache(folder, photos, teacher))
        if teacher:
            ask_teacher(folder, teacher)
        cache = Cache(folder, looked_at, teacher=teacher)
        print(f"{split}: looking at {len(cache)} photographs{left_out}", flush=True)
        found = of_photographs(cache, detector, px, margin)
        if split == "train":
            found = found.without_most_easy(rng)
            if args.people:
                found = found + of_people(Bank(args.people), cache, detector, px, margin, rng)
        if not found.faces.any() or (split == "train" and found.faces.all()):
            missing = "without" if found.faces.any() else "with"
            raise ConfigError(f"the {split} split has no box {missing} a face; give more photographs, or --people")
        out.append(found)
    return out


def read_config(path: Path) -> FaceTraining:
    """The file's values over the defaults; unknown keys are refused."""
    return read_settings(path, FaceTraining, f"{path} is not there; give a TOML file such as train/configs/face.toml")
