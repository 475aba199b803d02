"""Which network, at which size, in which variant: accuracy, latency in both runtimes, bytes, resident memory.

    python benchmarks/models.py WORK [--alphas 0.35,1.0] [--sizes 112,160] [--runs RUN...] [--weights FOLDER]

Each point is MobileNetV2 with ImageNet weights (files of Keras's own names in --weights) and a logistic regression on
its pooled features of training faces; RUN adds trained runs, which are measured alike. All figures are on validation
faces, so that nothing here is chosen by the test split. Each latency is taken in a process of its own in each runtime;
the least of many runs is what a busy machine disturbs least, p50 is what it gave. Writes models.json, and with --docs
FOLDER the table models.md and the plot models.png.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
MARGIN = 0.15
RUNS = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, nargs="?", help="folder for models and results; what is there is not redone")
    parser.add_argument("--probe", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--alphas", default="0.35,1.0")
    parser.add_argument("--sizes", default="112,160")
    parser.add_argument("--variants", default="float32,float16,dynamic,int8")
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--weights", type=Path, help="folder with mobilenet_v2_ALPHA_224_imagenet_no_top.weights.h5")
    parser.add_argument("--data", type=Path, default=ROOT / "train" / "configs" / "shared.dataset.toml")
    parser.add_argument("--train-faces", type=int, default=220, help="of each class")
    parser.add_argument("--faces", type=int, default=400, help="validation faces at most")
    parser.add_argument("--docs", type=Path, help="folder for the table and the plot")
    args = parser.parse_args()
    if args.probe:
        print(json.dumps(probe(args.probe, args.threads)))
        return 0
    if args.work is None:
        parser.error("give a folder for models and results")
    args.work.mkdir(parents=True, exist_ok=True)
    rows = sweep(args)
    if args.docs:
        (args.docs / "models.md").write_text(page(rows), "utf-8")
        plot(rows, args.docs / "models.png")
    print(table(rows))
    return 0


def probe(path: Path, threads: int) -> dict[str, Any]:
    """Latency and memory of a bare flatbuffer in the runtime that this Python has."""
    from edge_agent.runtime import open_runtime

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
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
        "resident_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def sweep(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every point; each is kept in the work folder as soon as it is measured."""
    from export import convert
    from export.faces import calibration_faces
    from export.source import resolve
    from train.data import load

    dataset = load(args.data)
    points = [
        (f"mobilenet_v2-{a}-{s} + logistic regression", float(a), int(s))
        for a in args.alphas.split(",")
        for s in args.sizes.split(",")
    ]
    makers = [(name, lambda a=a, s=s: frozen(a, s, args, dataset), s, 1.0) for name, a, s in points]
    for folder in args.runs:
        source = resolve(str(folder))
        size = int(source.record["input_size_px"])
        name = f"{source.record['architecture']}-{source.record['alpha']}-{size} trained ({folder.name.split('-')[0]})"
        makers.append(
            (name, lambda f=source.keras_file: convert.load_keras(f), size, float(source.record["temperature"]))
        )
    rows = []
    for name, make, size, temperature in makers:
        kept = args.work / f"{name.replace(' ', '_')}.json"
        if not kept.is_file():
            faces = validation(dataset, size, args.faces)
            calibration = calibration_faces(dataset, size, MARGIN, 100)
            print(f"{name}: {len(faces)} faces", file=sys.stderr, flush=True)
            found = measure(name, make(), faces, calibration.pictures, args, size, temperature)
            kept.write_text(json.dumps(found, indent=1))
        rows += json.loads(kept.read_text())
    (args.work / "models.json").write_text(json.dumps(rows, indent=1))
    return rows


def validation(dataset: Any, size: int, most: int) -> Any:
    """Validation faces alone, of the two sets that have all three classes."""
    from dataclasses import replace

    from export.faces import gate_faces

    return gate_faces(
        replace(dataset, samples=tuple(s for s in dataset.samples if s.split != "test")), size, MARGIN, most
    )


def frozen(alpha: float, size: int, args: argparse.Namespace, dataset: Any) -> Any:
    """ImageNet features with a logistic regression on top, as one Keras model."""
    import keras
    from sklearn.linear_model import LogisticRegression

    from export import convert
    from export.faces import calibration_faces

    base = keras.applications.MobileNetV2(input_shape=(size, size, 3), alpha=alpha, include_top=False, weights=None)
    base.load_weights(args.weights / f"mobilenet_v2_{alpha}_224_imagenet_no_top.weights.h5")
    picture = keras.Input((size, size, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(base(keras.layers.Rescaling(1 / 127.5, -1.0)(picture)))
    faces = calibration_faces(dataset, size, MARGIN, args.train_faces)
    flatbuffer = convert.convert(keras.Model(picture, pooled), "float32", faces.pictures).flatbuffer
    features = answers(flatbuffer, faces.pictures)
    fitted = LogisticRegression(C=0.05, max_iter=2000, class_weight="balanced").fit(features, faces.classes)
    head = keras.layers.Dense(len(LABELS), activation="softmax")
    model = keras.Model(picture, head(pooled))
    head.set_weights([fitted.coef_.T, fitted.intercept_])
    return model


def answers(flatbuffer: bytes, pictures: Any) -> Any:
    """The first output over all pictures."""
    from edge_agent.runtime import open_runtime

    runtime = open_runtime(flatbuffer)
    return np.concatenate([runtime.run(pictures[i : i + 1])[0] for i in range(len(pictures))])


def measure(
    name: str, model: Any, faces: Any, calibration: Any, args: argparse.Namespace, size: int, temperature: float
) -> list[dict[str, Any]]:
    """All variants of one model."""
    from edge_agent.classify import calibrated
    from export import convert
    from export.gates import calibration_error, macro_f1

    rows = []
    reference = None
    for variant in args.variants.split(","):
        for recipe in ("plain", "balanced") if variant == "int8" else ("plain",):
            flatbuffer = convert.convert(model, variant, calibration, recipe).flatbuffer
            path = args.work / "candidate.tflite"
            path.write_bytes(flatbuffer)
            said = calibrated(answers(flatbuffer, faces.pictures), temperature)
            reference = said if reference is None else reference
            row = {
                "model": name,
                "size_px": size,
                "variant": variant if recipe == "plain" else f"{variant} {recipe}",
                "parameters": model.count_params(),
                "bytes": len(flatbuffer),
                "faces": len(faces),
                "accuracy": float((said.argmax(1) == faces.classes).mean()),
                "macro_f1": macro_f1(said, faces.classes),
                "ece": calibration_error(said, faces.classes),
                "same_as_first": float((said.argmax(1) == reference.argmax(1)).mean()),
                "runtimes": latencies(path),
            }
            rows.append(row)
            print(f"  {row['variant']}: macro-F1 {row['macro_f1']:.3f}", file=sys.stderr, flush=True)
    return rows


def latencies(path: Path) -> dict[str, Any]:
    """Both runtimes, one thread and two, each in a process of its own; why not, where one does not run it."""
    from export.runtimes import LEGACY_PYTHON

    found: dict[str, Any] = {}
    for runtime, python in (("litert", Path(sys.executable)), ("tflite-runtime", LEGACY_PYTHON)):
        for threads in (1, 2):
            command = [str(python), __file__, "--probe", str(path), "--threads", str(threads)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            fault = (done.stderr.strip().splitlines() or ["failed"])[-1][:200]
            found[f"{runtime} {threads}"] = json.loads(done.stdout) if done.returncode == 0 else {"fault": fault}
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table."""
    lines = [
        "| model | variant | accuracy | macro-F1 | same class as float32 | MB | LiteRT ms, 1 / 2 threads | "
        "tflite-runtime ms, 1 / 2 threads | resident MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = []
        for runtime in ("litert", "tflite-runtime"):
            pair = [row["runtimes"][f"{runtime} {threads}"] for threads in (1, 2)]
            times.append(" / ".join("does not run" if "fault" in p else f"{p['least_ms']:.1f}" for p in pair))
        held = row["runtimes"]["litert 1"].get("resident_mb", float("nan"))
        lines.append(
            f"| {row['model']} | {row['variant']} | {row['accuracy']:.3f} | {row['macro_f1']:.3f} | "
            f"{row['same_as_first']:.3f} | {row['bytes'] / 1e6:.2f} | {times[0]} | {times[1]} | {held:.0f} |"
        )
    return "\n".join(lines)


def page(rows: list[dict[str, Any]]) -> str:
    """The page of the documentation."""
    loads = [p["load"] for row in rows for p in row["runtimes"].values() if "load" in p]
    return (
        "# Which model, which size, which variant\n\n"
        "Made by `python benchmarks/models.py`, see there. Validation faces of `ilc2021` and `andrewmvd` (20 px and "
        f"more), n = {rows[0]['faces']}; latency is the least of {RUNS} runs on an x86-64 machine with two cores, "
        f"under a load of {min(loads):g} to {max(loads):g} from other work: two threads hardly show there, and ratios "
        "say more than milliseconds. Resident MB is what opening and running the model adds to the process.\n\n"
        f"{table(rows)}\n\n![macro-F1 over latency](models.png)\n"
    )


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Macro-F1 over LiteRT latency on one thread, with the Pareto front."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    usable = [row for row in rows if "fault" not in row["runtimes"]["litert 1"]]
    figure, axes = plt.subplots(figsize=(8, 5), dpi=110)
    markers = {"float32": "o", "float16": "s", "dynamic": "^", "int8": "x", "int8 balanced": "D"}
    names = sorted({row["model"] for row in usable})
    for row in usable:
        colour = f"C{names.index(row['model'])}"
        axes.scatter(
            row["runtimes"]["litert 1"]["least_ms"], row["macro_f1"], marker=markers[row["variant"]], color=colour
        )
    front, best = [], -1.0
    for row in sorted(usable, key=lambda r: (r["runtimes"]["litert 1"]["least_ms"], -r["macro_f1"])):
        if row["macro_f1"] > best:
            best = row["macro_f1"]
            front.append((row["runtimes"]["litert 1"]["least_ms"], best))
    axes.step(*zip(*front, strict=True), where="post", color="grey", linewidth=1, label="Pareto front")
    for index, name in enumerate(names):
        axes.scatter([], [], color=f"C{index}", label=name)
    for variant, marker in markers.items():
        axes.scatter([], [], color="black", marker=marker, label=variant)
    axes.set_xlabel("LiteRT, one thread: least of 60 runs, ms")
    axes.set_ylabel("macro-F1 on validation faces")
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
