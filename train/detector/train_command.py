"""`python -m train train-detector`: train the face detector from a TOML file, resumable."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import time
import tomllib
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from edge_agent.errors import ConfigError, NotFoundError, UsageError
from export.source import DETECTOR_RECORD, DETECTOR_START, DETECTOR_WEIGHTS
from train.detector.augment import Recipe
from train.detector.photos import FACELESS, Photo, read_faceless, read_photos, say_left_out
from train.detector.release import SHIPPED_INPUT
from train.detector.things import Things
from train.files import write_json
from train.people.bank import Bank
from train.runs.tracking import refuse_absent_store, uri

DEFAULT_SOURCES = ("andrewmvd", "ilc2021", "aizoo", "negatives")
# a run may be gone on with under other values of these; its start is known by start_sha256, wherever it lies
FREE = ("steps", "loader_threads", "report_every", "start")


@dataclass(frozen=True, slots=True)
class DetectorTraining:
    """What a configuration file says. steps: of training in all, resumed runs counted together.

    weights: how often a photograph of a source is seen. sure_iou: the overlap with its face from which a box's wanted
    score is 1. believe_teacher: what only the teacher finds is a face from this score on; below, it is not taught.
    turned_is_hard: bare faces that the teacher sees turned away or bowed are shown as often as those that are missed.
    """

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    steps: Annotated[int, Field(ge=1)] = 24_000
    rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    relative: bool = False  # the rate is a share of each channel's size (optimizer.py)
    sure_iou: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 1
    channels: Annotated[int, Field(ge=8, le=1024)] = 64
    alpha: Annotated[float, Field(ge=0.1, le=2)] = 0.35
    head_blocks: Annotated[int, Field(ge=0, le=16)] | None = None  # before each head; unset: as many as --start has
    filters: dict[str, Annotated[int, Field(ge=1, le=1024)]] = field(default_factory=dict)  # network.Extent
    stem_up_to: str = "block_3_project"  # layers up to here stay as they start; "": everything learns
    sources: Annotated[tuple[str, ...], Field(min_length=1)] = DEFAULT_SOURCES
    splits: Annotated[tuple[Literal["train", "val"], ...], Field(min_length=1)] = ("train",)
    weights: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = field(default_factory=dict)
    size_px: Annotated[int, Field(ge=64, le=2048, multiple_of=32)] = 320
    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    recipe: Recipe = field(default_factory=Recipe)
    believe_teacher: Annotated[float, Field(gt=0, le=2)] = 2.0
    turned_is_hard: bool = False
    looked_at: str = ""  # a CSV beside the file: boxes on no label, looked at by eye (cache.read_looked_at)
    loader_threads: Annotated[int, Field(ge=1, le=64)] = 2
    report_every: Annotated[int, Field(ge=1)] = 1000  # steps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--config", type=Path, default=Path("train/configs/detector.toml"), help="a TOML file")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with splits.csv")
    parser.add_argument(
        "--imagenet", type=Path, default=None, help="MobileNetV2 no-top weights; unset: Keras fetches them"
    )
    parser.add_argument("--teacher", type=Path, default=None, help="a YuNet .onnx: finds what no label names")
    parser.add_argument("--people", type=Path, default=None, help="folder of `python -m train draw-people`")
    parser.add_argument("--things", type=Path, default=None, help="folder of PNG files: things cut out, no faces")
    parser.add_argument("--faceless", type=Path, default=None, help="folder of more photographs without a face")
    parser.add_argument("--start", type=Path, default=None, help="detector weights (.weights.h5) to start from")
    parser.add_argument(
        "--run", type=Path, default=Path("runs/detector"), help="folder of the run; a checkpoint is resumed"
    )
    parser.add_argument("--cache", type=Path, default=Path(".cache/detector/train"), help="decoded photographs")
    parser.add_argument("--threads", type=int, default=2, help="threads of the training step")
    parser.add_argument(
        "--ship", type=Path, default=None, help="then release and export int8; where to put the .tflite"
    )
    parser.add_argument("--input", default=SHIPPED_INPUT, help="with --ship: width x height of the device's input")
    parser.add_argument("--claim", default="", help="with --ship: runtimes to prove it in; unset: all of the export's")
    parser.add_argument("--stop-here", action="store_true", help="train no further; release what the run has")
    parser.add_argument("--no-mlflow", action="store_true", help="do not track the run")


def run(args: argparse.Namespace) -> int:
    """Train; the run folder then holds average.weights.h5 and detector.json."""
    config = read_config(args.config)
    for path in (args.imagenet, args.teacher, args.people, args.things, args.faceless, args.start):
        if path is not None and not path.exists():
            raise NotFoundError(f"{path} is not there")
    _check(args, config)
    if not args.no_mlflow:
        refuse_absent_store(uri(), may_be_made=True)
    people = Bank(args.people) if args.people else None
    things = Things(args.things) if args.things else None
    if things:
        print(f"{args.things}: {len(things)} things", flush=True)
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(args.threads))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    import cv2
    import keras

    from train.detector.batches import batches
    from train.detector.cache import Cache, ask_teacher, build_cache, open_teacher, read_looked_at
    from train.detector.hard import find_hard, open_detector
    from train.detector.learnt import KEY, learnt_splits
    from train.detector.network import head_blocks, split
    from train.detector.stem import fast_stem
    from train.detector.tracking import Tracking
    from train.detector.trainer import Training

    looked_at = read_looked_at(args.config.parent / config.looked_at) if config.looked_at else None
    cv2.setNumThreads(1)  # the loader's threads are enough
    keras.utils.set_random_seed(config.seed)
    teacher = open_teacher(args.teacher) if args.teacher else None
    photos = [
        photo for split in dict.fromkeys(config.splits) for photo in read_photos(args.data, split, config.sources)
    ]
    faceless = read_faceless(args.faceless) if args.faceless else []
    photos += faceless
    network = _begun(args, config)
    stem, trained = split(network, config.stem_up_to) if config.stem_up_to else (None, network)
    described = dataclasses.asdict(config) | {
        "parameters": network.count_params(),
        "head_blocks": head_blocks(network),
        "start": str(args.start or "imagenet"),
        "start_sha256": hashlib.sha256(args.start.read_bytes()).hexdigest() if args.start else "",
        "teacher_sha256": teacher.sha256 if teacher else "",
        "people_sha256": people.sha256 if people else "",
        "things_sha256": things.sha256 if things else "",
        "faceless_sha256": _sha256(faceless),
    }
    settings = {name: value for name, value in described.items() if name not in FREE}
    training = Training(network, trained, config.rate, args.run, config.relative, config.sure_iou, settings)
    resumed = training.resume()
    before = learnt_splits([args.run / DETECTOR_WEIGHTS]) if resumed else set()
    if args.stop_here and not resumed:
        raise NotFoundError(f"{args.run} has no checkpoint to stop at; leave --stop-here out, or give another --run")
    if not resumed:
        training.save_average(args.run / DETECTOR_START)  # for release --mix
    print(
        f"{network.count_params()} parameters; {'resumed at' if resumed else 'start, step'} {training.step}", flush=True
    )
    if left_out := say_left_out(build_cache(args.cache, photos, teacher)):
        print(f"{len(photos)} photographs{left_out}", flush=True)
    if teacher:
        ask_teacher(args.cache, teacher)
    with Tracking(args.run, described, enabled=not args.no_mlflow) as tracking:
        cache = Cache(args.cache, looked_at, config.believe_teacher, teacher)
        if config.recipe.hard > 1.0:
            cache.hard = find_hard(cache, open_detector(args.start), config.turned_is_hard)
        if not args.stop_here:
            stream = batches(
                cache,
                fast_stem(stem, config.batch, config.size_px) if stem else lambda images: images.astype("float32"),
                config.size_px,
                config.batch,
                config.weights,
                config.recipe,
                config.seed + training.step,
                config.loader_threads,
                people,
                things,
            )
            with closing(stream):
                training.run(stream, config.steps, tracking.report, config.report_every)
        summary = described | {
            "trained_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "steps": training.step,
            KEY: sorted({*config.splits, *learnt_splits([args.start]), *before}),
            "pictures": training.pictures,
            "epochs": round(training.pictures / len(cache), 1),
            "mlflow_run_id": tracking.run_id,
        }
        write_json(args.run / DETECTOR_RECORD, summary)
        tracking.finish([args.run / DETECTOR_WEIGHTS, args.run / DETECTOR_RECORD])
    return 0 if args.ship is None else _ship(args)


def _begun(args: argparse.Namespace, config: DetectorTraining) -> Any:
    """The network as it starts: what --start or ImageNet knows, grown to what the configuration asks for."""
    from train.detector.network import HEAD_BLOCKS, Extent, build_detector, extent_in, grow, load_imagenet
    from train.models import load_weights

    begun = extent_in(args.start, config.alpha) if args.start else Extent(head_blocks=0)
    usual = begun.head_blocks if args.start else HEAD_BLOCKS
    blocks = usual if config.head_blocks is None else config.head_blocks
    if blocks < begun.head_blocks:
        raise ConfigError(f"{args.config}: head_blocks is {blocks}, but {args.start} has {begun.head_blocks}")
    known = build_detector(config.channels, config.alpha, extent=begun)
    if args.start is None:
        load_imagenet(known, args.imagenet, config.alpha)
    else:
        load_weights(known, args.start, "--start")
    extent = Extent(blocks, {**begun.filters, **config.filters})
    try:
        network = build_detector(config.channels, config.alpha, extent=extent)
        grow(known, network)
    except ConfigError as error:
        raise ConfigError(f"{args.config}: {error}") from None
    return network


def _check(args: argparse.Namespace, config: DetectorTraining) -> None:
    """What the configuration needs of the command line, before anything is read."""
    if config.recipe.hard > 1.0 and args.start is None:
        raise ConfigError(f"{args.config}: recipe.hard needs a network that finds what is hard; give it as --start")
    for name, given, put_in, hint in (
        ("people", args.people, config.recipe.people, "drawn people; give what draw-people made as --people"),
        ("things", args.things, config.recipe.things, "things cut out; give a folder of PNG files as --things"),
    ):
        if put_in > 0 and given is None:
            raise ConfigError(f"{args.config}: recipe.{name} needs {hint}")
        if put_in == 0 and given is not None:
            raise ConfigError(
                f"--{name} is given, but recipe.{name} in {args.config} is 0; say how often they are put in"
            )
    wants = "crops is a source" if "crops" in config.sources else "believe_teacher is set"
    if args.teacher is None and ("crops" in config.sources or config.believe_teacher <= 1):
        raise ConfigError(f"{args.config}: {wants}, which needs a teacher; give a YuNet .onnx as --teacher")
    if args.faceless is not None and FACELESS not in config.sources:
        raise ConfigError(f"--faceless is given, but sources in {args.config} does not have {FACELESS!r}; add it")
    if args.ship is not None and (args.ship.is_dir() or not args.ship.parent.is_dir()):
        raise UsageError(f"--ship {args.ship} is no place for a file; give FOLDER/NAME.tflite")


def _sha256(photos: list[Photo]) -> str:
    """Of the files of photographs; "" of none."""
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(photo.path.read_bytes())
    return digest.hexdigest() if photos else ""


def _ship(args: argparse.Namespace) -> int:
    """What `python -m train.detector.release` and `python -m export` do, in this process."""
    from export.__main__ import main as export
    from train.detector import release

    parser = argparse.ArgumentParser()
    release.add_arguments(parser)
    failed = release.run(parser.parse_args(["--run", str(args.run), "--input", args.input, "--data", str(args.data)]))
    words = [str(args.run), "--variant", "int8", "--name", "maskwatch-detector", "--release", str(args.ship)]
    words += ["--claim", args.claim] if args.claim else []
    return failed or export(words)


def read_config(path: Path) -> DetectorTraining:
    """The file's values over the defaults; unknown keys are refused."""
    if not path.is_file():
        raise NotFoundError(f"{path} is not there; give a TOML file such as train/configs/detector.toml")
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    known = {item.name for item in dataclasses.fields(DetectorTraining)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"{path} has unknown keys {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    recipe, sources = [item.name for item in dataclasses.fields(Recipe)], values.get("sources", list(DEFAULT_SOURCES))
    for key, allowed in (("recipe", recipe), ("weights", sources)):
        given = values.get(key, {})
        strange = sorted(set(given) - set(allowed)) if isinstance(given, dict) and isinstance(allowed, list) else []
        if strange:
            raise ConfigError(f"{path}: {key} has unknown keys {', '.join(strange)}; known: {', '.join(allowed)}")
    try:
        return TypeAdapter(DetectorTraining).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where}: {first['msg']} (got {first['input']!r})") from error
