"""Which network, at which size, in which variant: accuracy, latency in both runtimes, bytes, resident memory.

    python benchmarks/models.py WORK --weights FOLDER [--alphas 0.35,1.0] [--sizes 96,128] [--runs RUN...] [--docs D]

Two kinds of points, never mixed in a choice. *Frozen*: MobileNetV2 with ImageNet weights (--weights, files of Keras's
own names) and a logistic regression on its pooled features of real training faces: as cheap as a first phase, it ranks
alphas and sizes, and says nothing about how good a trained network gets. *Trained*: each RUN of `python -m train`, with
its own size, crop margin and temperature. All figures are on validation faces, so that the test split chooses nothing.

Each latency is taken in a process of its own; the least of many runs is what a busy machine disturbs least. A point
that was measured with the same settings is not measured again: killed, the same command goes on. Writes models.json
into WORK, and with --docs FOLDER the table models.md and the plot models.png.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from models_page import RUNS, RUNTIMES, Row, choices, page, plot, table

from edge_agent.errors import NotFoundError, UsageError, exit_status

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
MARGIN = 0.15  # of frozen points; a run has its own


@dataclass(frozen=True, slots=True)
class Point:
    """A network to measure. key: all that decides its figures; make: the Keras model."""

    name: str
    kind: str
    size_px: int
    margin: float
    temperature: float
    key: dict[str, Any]
    make: Callable[[], Any]


def main() -> int:
    args = _parser().parse_args()
    return exit_status("models", lambda: run(args), "stopped")


def run(args: argparse.Namespace) -> int:
    if args.probe:
        print(json.dumps(probe(args.probe, args.threads)))
        return 0
    if args.work is None or (args.weights is None and args.alphas):
        _parser().error("give a folder for results, and --weights FOLDER (or --alphas '' and some --runs)")
    args.work.mkdir(parents=True, exist_ok=True)
    report = {"command": f"python benchmarks/models.py {shlex.join(sys.argv[1:])}", "machine": machine()}
    print(f"{report['command']}\n{report['machine']}", file=sys.stderr)
    rows = sweep(args)
    if not rows:
        raise UsageError("nothing to measure; give --alphas and --weights, or --runs")
    (args.work / "models.json").write_text(json.dumps({**report, "rows": rows}, indent=1))
    if args.docs:
        (args.docs / "models.md").write_text(page(report, rows), "utf-8")
        plot(rows, args.docs / "models.png")
    print("\n".join([table(rows), "", *choices(rows)]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, nargs="?", help="folder for results")
    parser.add_argument("--probe", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--alphas", default="0.35,1.0", help="of frozen points; '' for none")
    parser.add_argument("--sizes", default="96,128,160", help="of frozen points, pixels")
    parser.add_argument("--variants", default="float32,float16,dynamic,int8")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="run folders, or train/weights; after WORK")
    parser.add_argument("--weights", type=Path, help="folder with mobilenet_v2_ALPHA_224_imagenet_no_top.weights.h5")
    parser.add_argument("--data", type=Path, default=ROOT / "train" / "configs" / "shared.dataset.toml")
    parser.add_argument("--train-faces", type=int, default=400, help="of each class, as far as there are so many")
    parser.add_argument("--faces", type=int, default=2000, help="validation faces at most")
    parser.add_argument("--docs", type=Path, help="folder for the table and the plot")
    return parser


def machine() -> str:
    """What latencies depend on, in a line."""
    from edge_agent.bench import device

    about = device()
    return (
        f"{about['cpu']}, {about['cores']} cores, {about['machine']}, load {about['load_1min']:g} at the beginning; "
        f"{about['runtime']}, Python {about['python']}"
    )


def probe(path: Path, threads: int) -> Row:
    """Latency and memory of a bare flatbuffer in the runtime that this Python has."""
    from edge_agent.runtime import open_runtime

    before = _resident_mb()
    runtime = open_runtime(path.read_bytes(), threads)
    _, height, width, _ = runtime.inputs[0].shape
    picture = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    times = np.zeros(RUNS)
    for i in range(-5, RUNS):
        begun = time.perf_counter()
        runtime.run(picture)
        if i >= 0:
            times[i] = (time.perf_counter() - begun) * 1e3
    return {
        "runtime": str(runtime.info),
        "least_ms": round(float(times.min()), 2),
        "p50_ms": round(float(np.median(times)), 2),
        "resident_mb": round(_resident_mb() - before, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def sweep(args: argparse.Namespace) -> list[Row]:
    """Every point; each is kept in the work folder as soon as it is measured."""
    from export.faces import calibration_faces, gate_faces
    from train.data import load

    dataset = load(args.data)
    chooser = replace(dataset, samples=tuple(s for s in dataset.samples if s.split != "test"))
    shared = {
        "data": dataset.data_sha256,
        "split": dataset.split_sha256,
        "faces": args.faces,
        "variants": args.variants,
    }
    rows: list[Row] = []
    for point in points(args, dataset):
        kept = args.work / f"{point.name.replace(' ', '_')}.json"
        record = json.loads(kept.read_text()) if kept.is_file() else {}
        key = shared | point.key
        if record.get("key") != key:
            faces = gate_faces(chooser, point.size_px, point.margin, args.faces)
            calibration = calibration_faces(dataset, point.size_px, point.margin, 120)
            print(f"{point.name}: {len(faces)} faces", file=sys.stderr, flush=True)
            record = {"key": key, "rows": measure(point, faces, calibration.pictures, args)}
            kept.write_text(json.dumps(record, indent=1))
        rows += record["rows"]
    return rows


def points(args: argparse.Namespace, dataset: Any) -> list[Point]:
    """What the command line asks for."""
    from export.pipeline import load_classifier
    from export.source import resolve

    found = []
    try:
        alphas = [float(alpha) for alpha in args.alphas.split(",") if alpha]
        sizes = [int(size) for size in args.sizes.split(",")]
    except ValueError as error:
        raise UsageError(f"--alphas and --sizes: {error}; give numbers with commas") from None
    for alpha in alphas:
        weights = args.weights / f"mobilenet_v2_{alpha}_224_imagenet_no_top.weights.h5"
        if not weights.is_file():
            raise NotFoundError(f"{weights} is not there; give the folder of ImageNet weights as --weights")
        for size in sizes:
            key = {"weights": _sha256(weights), "train_faces": args.train_faces, "margin": MARGIN}
            found.append(
                Point(
                    f"frozen {alpha} at {size} px",
                    "frozen",
                    size,
                    MARGIN,
                    1.0,
                    key,
                    lambda a=alpha, s=size, w=weights: frozen(a, s, w, dataset, args.train_faces),
                )
            )
    for folder in args.runs:
        source = resolve(str(folder))
        record, file = source.record, source.keras_file
        name = f"trained {record['architecture']} {record['alpha']} at {record['input_size_px']} px"
        key = {"model": _sha256(file), "margin": record["crop_margin"], "temperature": record["temperature"]}
        found.append(
            Point(
                f"{name} ({key['model'][:6]})",
                "trained",
                int(record["input_size_px"]),
                float(record["crop_margin"]),
                float(record["temperature"]),
                key,
                lambda s=source: load_classifier(s, with_face=False),
            )
        )
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def frozen(alpha: float, size: int, weights: Path, dataset: Any, each: int) -> Any:
    """ImageNet features with a logistic regression on top, as one Keras model."""
    import keras
    from sklearn.linear_model import LogisticRegression

    from export import convert
    from export.faces import calibration_faces

    base = keras.applications.MobileNetV2(input_shape=(size, size, 3), alpha=alpha, include_top=False, weights=None)
    base.load_weights(weights)
    picture = keras.Input((size, size, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(base(keras.layers.Rescaling(1 / 127.5, -1.0)(picture)))
    faces = calibration_faces(dataset, size, MARGIN, each)
    flatbuffer = convert.convert(keras.Model(picture, pooled), "float32", faces.pictures).flatbuffer
    features = answers(flatbuffer, faces.pictures)
    fitted = LogisticRegression(C=0.05, max_iter=2000, class_weight="balanced").fit(features, faces.classes)
    head = keras.layers.Dense(len(dataset.labels), activation="softmax")
    model = keras.Model(picture, head(pooled))
    head.set_weights([fitted.coef_.T, fitted.intercept_])
    return model


def answers(flatbuffer: bytes, pictures: Any) -> Any:
    """The first output over all pictures."""
    from edge_agent.runtime import open_runtime

    runtime = open_runtime(flatbuffer)
    return np.concatenate([runtime.run(pictures[i : i + 1])[0] for i in range(len(pictures))])


def measure(point: Point, faces: Any, calibration: Any, args: argparse.Namespace) -> list[Row]:
    """All variants of one model; each through the gates of export against Keras itself."""
    from edge_agent.classify import calibrated
    from export import convert
    from export.gates import compare
    from train.scores import bootstrap, macro_f1

    model = point.make()
    labels = tuple(str(i) for i in range(model.outputs[0].shape[1]))
    keras_says = calibrated(convert.predict(model, faces.pictures)[0], point.temperature)
    rows = []
    for variant in args.variants.split(","):
        for recipe in ("plain", "balanced") if variant == "int8" else ("plain",):
            flatbuffer = convert.convert(model, variant, calibration, recipe).flatbuffer
            path = args.work / "candidate.tflite"
            path.write_bytes(flatbuffer)
            said = calibrated(answers(flatbuffer, faces.pictures), point.temperature)
            outcome = compare(keras_says, said, faces, labels, variant)
            pairs = np.stack([faces.classes, said.argmax(1)], axis=1)
            row = {
                "model": point.name,
                "kind": point.kind,
                "size_px": point.size_px,
                "variant": variant if recipe == "plain" else f"{variant} {recipe}",
                "parameters": model.count_params(),
                "bytes": len(flatbuffer),
                "faces": len(faces),
                "macro_f1_95": bootstrap(pairs, lambda p: macro_f1(p[:, 0], p[:, 1], len(labels))),
                "same_class": outcome.gates[0].figure,
                "gates": outcome.failures() or "passed",
                **{name: outcome.figures[name] for name in ("accuracy", "macro_f1", "ece")},
                "runtimes": latencies(path),
            }
            rows.append(row)
            print(f"  {row['variant']}: macro-F1 {row['macro_f1']:.3f}, {row['gates']}", file=sys.stderr, flush=True)
    return rows


def latencies(path: Path) -> Row:
    """Both runtimes, one thread and two, each in a process of its own; why not, where one does not run it."""
    from export.runtimes import LEGACY_PYTHON

    found: Row = {}
    for runtime, python in zip(RUNTIMES, (Path(sys.executable), LEGACY_PYTHON), strict=True):
        for threads in (1, 2):
            if not python.is_file():
                found[f"{runtime} {threads}"] = {"fault": f"{python} is not there; make legacy-env makes it"}
                continue
            command = [str(python), __file__, "--probe", str(path), "--threads", str(threads)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            fault = (done.stderr.strip().splitlines() or ["failed"])[-1][:200]
            found[f"{runtime} {threads}"] = json.loads(done.stdout) if done.returncode == 0 else {"fault": fault}
    return found


if __name__ == "__main__":
    sys.exit(main())
