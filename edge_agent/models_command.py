"""`edge-agent models`: what a model file says of itself, and whether it does on this device what it did elsewhere."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from edge_agent.errors import ModelError, UsageError
from edge_agent.model_file import Manifest, ModelFile, load

HANGS_AFTER_S = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `edge-agent models`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    inspect = actions.add_parser("inspect", help="print what a model file says of itself")
    verify = actions.add_parser("verify", help="check all of a model file and run its golden inputs on this device")
    for action in (inspect, verify):
        action.add_argument("file", type=Path, nargs="+", help="a .tflite file made by python -m export")
        action.add_argument("--json", action="store_true", help="one JSON object a file, on a line")
    verify.add_argument("--threads", type=int, default=1, help="threads of the runtime (default 1)")
    verify.add_argument("--no-xnnpack", action="store_true", help="use the runtime's reference kernels")
    verify.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Print one file after the other; the first that does not pass ends it.

    Raises ModelError, NotFoundError or UsageError.
    """
    if not 1 <= getattr(args, "threads", 1) <= 64:
        raise UsageError(f"--threads is {args.threads}; give 1 to 64")
    for path in args.file:
        model = load(path)
        if args.action == "inspect":
            _inspect(model, args.json)
        else:
            _verify(model, args)
    return 0


def facts(model: ModelFile) -> dict[str, Any]:
    """What `inspect --json` prints."""
    return {
        "file": str(model.path),
        "sha256": model.sha256,
        "golden_inputs": len(model.golden.small),
        "manifest": model.manifest.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _inspect(model: ModelFile, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts(model)))
        return
    for name, value in _lines(model, model.manifest):
        print(f"{name:<13} {value}")


def _lines(model: ModelFile, manifest: Manifest) -> list[tuple[str, str]]:
    size = manifest.input
    lines = [
        ("file", str(model.path)),
        ("sha256", model.sha256),
        ("model", f"{manifest.name} {manifest.version}, a {manifest.kind}: {manifest.architecture}"),
        ("labels", ", ".join(manifest.labels)),
        ("input", f"{size.width_px} x {size.height_px} px, {size.dtype} {size.colour_order}"),
        ("inside", size.normalisation or "-"),
        ("quantisation", " ".join(filter(None, [manifest.quantisation, manifest.quantisation_detail]))),
        ("size", f"{manifest.flatbuffer_bytes:,} bytes, {manifest.parameters:,} parameters"),
        (
            "trained",
            f"{manifest.trained_at:%Y-%m-%d %H:%M} UTC, {manifest.epochs} epochs, run {manifest.mlflow_run_id or '-'}",
        ),
        ("temperature", f"{manifest.calibration.temperature:g}"),
        (
            "golden",
            f"{manifest.golden.count} inputs; allowed to differ by {manifest.golden.largest_difference:g} at most",
        ),
        ("needs", f"agent {manifest.minimum_agent_version} or newer"),
        ("proven in", "; ".join(manifest.runtimes) or "-"),
        ("made with", ", ".join(f"{tool} {version}" for tool, version in manifest.tools.items()) or "-"),
    ]
    if manifest.classifier is not None:
        cut = ", ".join(f"{label} {value:g}" for label, value in manifest.classifier.thresholds.items())
        lines += [("crop margin", f"{manifest.classifier.crop_margin:g}"), ("thresholds", cut or "-")]
        if (face := manifest.classifier.face) is not None:
            lines.append(("face", f"none below {face.none_below:g}, surely one from {face.sure_from:g} on"))
    if manifest.detector is not None:
        part = manifest.detector
        lines.append(
            ("decoding", f"{part.decode}, strides {part.strides}, score {part.score_threshold:g}, NMS {part.nms_iou:g}")
        )
    lines += [("measured", f"{m.name} {m.value:.4f} on {m.data} (n={m.n})") for m in manifest.metrics]
    return lines


def _verify(model: ModelFile, args: argparse.Namespace) -> None:
    """In a process of its own: a file made to harm can bring the runtime down, and must not bring this down."""
    result = _prove_here(model, args) if args.in_process else _prove_apart(model, args)
    if args.json:
        print(json.dumps(result))
        return
    print(
        f"{model.path}: sound. {result['golden_inputs']} golden inputs differ by {result['largest_difference']:.5f} at "
        f"most on {result['runtime']}, {result['threads']} thread(s), {result['golden_ms']:.0f} ms"
    )


def _prove_here(model: ModelFile, args: argparse.Namespace) -> dict[str, Any]:
    from edge_agent.detect_tflite import check_decoding
    from edge_agent.model_file import measure

    if model.manifest.detector is not None:
        check_decoding(model)
    proof = measure(model, args.threads, not args.no_xnnpack)
    return {
        "file": str(model.path),
        "sha256": model.sha256,
        "runtime": str(proof.runtime),
        "threads": args.threads,
        "xnnpack": not args.no_xnnpack,
        "golden_inputs": len(model.golden.small),
        "largest_difference": proof.apart.largest,
        "mean_difference": proof.apart.mean,
        "golden_ms": proof.seconds * 1e3,
    }


def _prove_apart(model: ModelFile, args: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "edge_agent", "models", "verify", "--json", "--in-process"]
    command += ["--threads", str(args.threads), *(["--no-xnnpack"] if args.no_xnnpack else []), str(model.path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS_AFTER_S, check=False)
    except subprocess.TimeoutExpired:
        raise ModelError(f"{model.path} hangs the runtime; do not use it") from None
    if done.returncode < 0:
        raise ModelError(f"{model.path} crashes the runtime (signal {-done.returncode}); do not use it")
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()
        raise ModelError(reason[-1].removeprefix("edge-agent: ") if reason else f"{model.path} does not run here")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
