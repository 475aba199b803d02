"""`python -m export`: a trained Keras model becomes .tflite files that prove themselves."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from edge_agent.errors import NotFoundError, UnavailableError, UsageError, exit_status
from edge_agent.model_file.manifest import Version, Word
from export.source import Source, resolve

DATA = Path(__file__).resolve().parents[1] / "train" / "configs" / "shared.dataset.toml"
VARIANTS = ("float32", "float16", "dynamic", "int8")
BOUNDS = {
    "crop_margin": (0, 2),
    "temperature": (0.05, 100),
    "score": (0, 1),
    "calibration_per_class": (1, 1_000_000),
    "gate_crops": (1, 1_000_000),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Export; 0 when every variant passed, 1 when a gate refused one."""
    args = _parser().parse_args(argv)
    return exit_status("export", lambda: _export(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("model", help="a run, kept weights, a .keras file, an MLflow run id, or models:/NAME@ALIAS")
    parser.add_argument(
        "--variant", default="int8", help="float32, float16, dynamic, int8, several with commas, or all"
    )
    parser.add_argument("--data", type=Path, default=DATA, help="dataset file for calibration and gates")
    parser.add_argument("--out", type=Path, help="folder for the files (default: export/ beside the model)")
    parser.add_argument(
        "--name", help="name in the manifest and of the files (default: maskwatch-classifier or -detector)"
    )
    parser.add_argument("--version", help="version in the manifest (default: the record's, else 1.0.0)")
    parser.add_argument(
        "--labels", help="the model's labels, in order, with commas; for a .keras file without model.json"
    )
    parser.add_argument("--crop-margin", type=float, help="share added around a face; for one without model.json")
    parser.add_argument("--temperature", type=float, help="divides log-probabilities; instead of model.json's")
    parser.add_argument("--size", help="input size of a detector that takes any, WIDTHxHEIGHT")
    parser.add_argument("--score", type=float, help="a detector's score threshold; instead of its record's")
    parser.add_argument(
        "--recipe", default=None, help="ranges for int8: plain, balanced, float-head, auto (default: the record's)"
    )
    parser.add_argument("--calibration-per-class", type=int, default=120, help="faces of each class for the quantiser")
    parser.add_argument("--gate-crops", type=int, default=1200, help="at most so many faces for the gates")
    parser.add_argument("--claim", help="runtimes to prove, with commas (default: litert,tflite-runtime)")
    parser.add_argument("--release", type=Path, help="where to put the file when it passed; for one variant")
    parser.add_argument("--no-mlflow", action="store_true", help="log nothing back to the run")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _export(args: argparse.Namespace) -> int:
    variants = VARIANTS if args.variant == "all" else tuple(args.variant.split(","))
    strange = [variant for variant in variants if variant not in VARIANTS]
    if strange:
        raise UsageError(f"--variant is {strange[0]!r}; give some of {', '.join(VARIANTS)}, or all")
    _check(args, variants)
    _one_thread()
    labels = tuple(args.labels.split(",")) if args.labels else None
    overrides = {
        "labels": labels,
        "crop_margin": args.crop_margin,
        "temperature": args.temperature,
        "score_threshold": args.score,
        "version": args.version,
    }
    source = resolve(args.model, overrides)
    order = _order(args, source, variants)

    from train.data import load

    dataset = load(args.data)
    _make_folder(order.folder)

    from export.build import write
    from export.pipeline import export
    from export.report import whole

    reports = export(source, dataset, order, _say)
    text = whole(order.name, order.version, source.keras_file.name, reports)
    write(order.folder / "export.md", text.encode())
    record = {"name": order.name, "version": order.version, "variants": [report.to_json() for report in reports]}
    write(order.folder / "export.json", f"{json.dumps(record, indent=1)}\n".encode())
    print(json.dumps(record) if args.json else text)
    passed = all(report.passed for report in reports)
    if args.release and passed:
        write(args.release, (order.folder / reports[0].written).read_bytes())
        _say(f"released as {args.release}")
    if source.run_id and not args.no_mlflow:
        from export.tracking import log_back

        log_back(source, order.folder, reports, _say)
    return 0 if passed else 1


def _check(args: argparse.Namespace, variants: Sequence[str]) -> None:
    """What is wrong with the command line is said before TensorFlow is imported."""
    for name, (low, high) in BOUNDS.items():
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            raise UsageError(f"--{name.replace('_', '-')} is {value:g}; give {low:g} to {high:g}")
    if args.score in (0, 1):
        raise UsageError(f"--score is {args.score:g}; give a number between 0 and 1")
    for name, pattern, example in (("name", Word, "door-classifier"), ("version", Version, "1.2.0")):
        try:
            TypeAdapter(pattern).validate_python(getattr(args, name) or example)
        except ValidationError:
            raise UsageError(f"--{name} is {getattr(args, name)!r}; give something like {example}") from None
    if args.release and len(variants) != 1:
        raise UsageError("--release takes one variant; give --variant with one name")
    if args.release and (args.release.is_dir() or not args.release.parent.is_dir()):
        raise NotFoundError(f"--release {args.release} is no place for a file; give FOLDER/NAME.tflite")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"cannot make the folder {folder}: {error.strerror}; give another --out") from None


def _order(args: argparse.Namespace, source: Source, variants: tuple[str, ...]) -> Order:  # type: ignore[name-defined]  # noqa: F821
    from export.pipeline import Order
    from export.quantise import RECIPES
    from export.runtimes import RUNTIMES, pythons

    recipe = args.recipe or str(source.record.get("int8_recipe", "auto"))
    if recipe not in ("auto", *RECIPES):
        where = "--recipe" if args.recipe else "int8_recipe in the record"
        raise UsageError(f"{where} is {recipe!r}; give one of auto, {', '.join(RECIPES)}")
    claimed = tuple(args.claim.split(",")) if args.claim else RUNTIMES
    size = None
    if args.size and source.kind != "detector":
        raise UsageError(f"--size is for detectors, and {source.keras_file} is a {source.kind}; leave it out")
    if args.size:
        width, _, height = args.size.partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise UsageError(f"--size is {args.size!r}; give WIDTHxHEIGHT, as in 320x192")
        size = int(width), int(height)
    return Order(
        name=args.name or f"maskwatch-{source.kind}",
        version=str(source.record.get("version", "1.0.0")),
        variants=variants,
        recipe=recipe,
        folder=args.out or source.keras_file.parent / "export",
        calibration_per_class=args.calibration_per_class,
        gate_crops=args.gate_crops,
        claimed=pythons(claimed),
        size=size,
    )


def _one_thread() -> None:
    """Before TensorFlow is imported: one thread gives the same sums each time, and leaves the machine to others."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def _say(line: str) -> None:
    print(f"export: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
