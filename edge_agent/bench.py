"""`edge-agent bench`: this device measured on itself, so that two devices can be compared.

Each stage is timed by itself on drawn noise of a camera's size: what a stage costs does not depend on what is seen, but
for the number of faces, which is given.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agent import __version__
from edge_agent.config import Config, DetectorConfig, load
from edge_agent.errors import UsageError
from edge_agent.records import U8, Box

WARM_UP = 5
REPEATS_MOST = 1_000_000
SHARES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Row:
    """One stage with one number of threads: milliseconds."""

    stage: str
    threads: int
    n: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    least_ms: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `edge-agent bench`."""
    parser.add_argument("--config", type=Path, help="a configuration file: measures the models that it names")
    parser.add_argument("--classifier", type=Path, help="a model file instead of the configured classifier")
    parser.add_argument("--threads", default="1,2", help="numbers of threads to try, with commas (default 1,2)")
    parser.add_argument("--repeats", type=int, default=100, help="timed runs of each stage (default 100)")
    parser.add_argument("--faces", type=int, default=1, help="faces in a frame (default 1)")
    parser.add_argument("--size", default="1280x720", help="the camera's picture, WIDTHxHEIGHT (default 1280x720)")
    parser.add_argument("--no-detector", action="store_true", help="leave the detector out")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    threads = _numbers(args.threads)
    width, height = _size(args.size)
    if not 1 <= args.repeats <= REPEATS_MOST or not 1 <= args.faces <= 100:
        raise UsageError(f"--repeats has to be 1 to {REPEATS_MOST}, --faces 1 to 100")
    config = load(args.config)
    if args.classifier is not None:
        config = config.model_copy(
            update={"classifier": config.classifier.model_copy(update={"model": args.classifier})}
        )
    frame = np.random.default_rng(1).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    picture = np.asarray(cv2.resize(frame, (width, height)), dtype=np.uint8)
    rows: list[Row] = []
    models: dict[str, Any] = {}
    for count in threads:
        stages, models = _stages(config, count, picture, args.faces, not args.no_detector)
        rows += [measure(name, count, stage, args.repeats) for name, stage in stages.items()]
    report = {
        "device": device(),
        "models": models,
        "frame": [width, height],
        "faces": args.faces,
        "stages": [asdict(row) for row in rows],
    }
    print(json.dumps(report) if args.json else table(report, rows))
    return 0


def measure(
    name: str, threads: int, stage: Callable[[], object], repeats: int, now: Callable[[], float] = time.perf_counter
) -> Row:
    """Time a stage; the first runs do not count."""
    for _ in range(min(WARM_UP, repeats)):
        stage()
    times = np.zeros(repeats)
    for i in range(repeats):
        begun = now()
        stage()
        times[i] = now() - begun
    p50, p90, p95, p99 = (round(float(value), 3) for value in np.percentile(times * 1e3, SHARES))
    return Row(name, threads, repeats, p50, p90, p95, p99, round(float(times.min() * 1e3), 3))


def device(root: Path = Path("/")) -> dict[str, Any]:
    """What the figures depend on: CPU, its temperature and clock, load, memory held, versions. root: stands for /."""
    from edge_agent.runtime import installed

    return {
        "agent": __version__,
        "runtime": str(installed()),
        "cpu": _cpu(root),
        "machine": platform.machine(),
        "cores": os.cpu_count() or 1,
        "temperature_c": _number(root / "sys/class/thermal/thermal_zone0/temp", 1000),
        "clock_mhz": _number(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", 1000),
        "load_1min": round(os.getloadavg()[0], 2),
        "resident_mb": _resident_mb(root),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }


def table(report: dict[str, Any], rows: list[Row]) -> str:
    """The report for people."""
    about = report["device"]
    degrees = "" if about["temperature_c"] is None else f", {about['temperature_c']:.0f} degrees C"
    lines = [
        f"{about['cpu']}, {about['cores']} cores{degrees}, load {about['load_1min']:g}; {about['runtime']}, "
        f"agent {about['agent']}, Python {about['python']}, {about['resident_mb']:.0f} MB resident",
        *(f"{kind}: {m['name']} {m['version']} sha256 {m['sha256'][:12]}" for kind, m in report["models"].items()),
        "",
        f"{'stage':<22}{'threads':>8}{'p50':>9}{'p90':>9}{'p95':>9}{'p99':>9}{'least':>9}   ms, n={rows[0].n}",
    ]
    lines += [
        f"{r.stage:<22}{r.threads:>8}{r.p50_ms:>9.2f}{r.p90_ms:>9.2f}{r.p95_ms:>9.2f}{r.p99_ms:>9.2f}{r.least_ms:>9.2f}"
        for r in rows
    ]
    return "\n".join(lines)


def _stages(
    config: Config, threads: int, picture: U8, faces: int, with_detector: bool
) -> tuple[dict[str, Callable[[], object]], dict[str, Any]]:
    """What is timed, and the models it is timed with."""
    from edge_agent.classify import open_classifier
    from edge_agent.preprocess import crops

    classifier = open_classifier(config.classifier.model_copy(update={"threads": threads}))
    height, width = picture.shape[:2]
    side = min(width, height) / 5
    boxes = [Box(0.1 * width + 7 * i, 0.2 * height + 3 * i, side, side) for i in range(faces)]
    cut = crops(picture, boxes, classifier.input_size_px, classifier.crop_margin)
    stages: dict[str, Callable[[], object]] = {}
    models = {
        "classifier": {"name": classifier.name, "version": classifier.manifest.version, "sha256": classifier.sha256}
    }
    if with_detector:
        detector, about = _detector(config.detector.model_copy(update={"threads": threads}))
        stages["detect"] = lambda: detector.detect(picture)
        models["detector"] = about
    stages["crop"] = lambda: crops(picture, boxes, classifier.input_size_px, classifier.crop_margin)
    stages["classify"] = lambda: classifier.classify(cut)
    ok, jpeg = cv2.imencode(".jpg", picture)
    if ok:
        stages["decode JPEG"] = lambda: cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        stages["encode JPEG"] = lambda: cv2.imencode(".jpg", picture)
    return stages, models


def _detector(config: DetectorConfig) -> tuple[Any, dict[str, str]]:
    from edge_agent.detect import open_detector

    detector = open_detector(config)
    manifest = getattr(detector, "manifest", None)
    version = "-" if manifest is None else manifest.version
    sha256 = getattr(detector, "sha256", "-")
    if config.kind == "yunet" and config.model is not None:
        sha256 = hashlib.sha256(config.model.read_bytes()).hexdigest()
    return detector, {"name": detector.name, "version": version, "sha256": sha256}


def _numbers(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdecimal() and 1 <= int(part) <= 64 for part in parts):
        raise UsageError(f"--threads is {text!r}; give numbers from 1 to 64 with commas, as in 1,2,4")
    return [int(part) for part in parts]


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 64 <= int(width) <= 8192 and 64 <= int(height) <= 8192):
        raise UsageError(f"--size is {text!r}; give WIDTHxHEIGHT from 64 to 8192, as in 1280x720")
    return int(width), int(height)


def _cpu(root: Path) -> str:
    for file, key in (("proc/device-tree/model", ""), ("proc/cpuinfo", "model name")):
        try:
            text = (root / file).read_text("utf-8", "replace")
        except OSError:
            continue
        if not key:
            return text.strip("\0\n ")
        for line in text.splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"


def _number(path: Path, divisor: float) -> float | None:
    try:
        return int(path.read_text().strip()) / divisor
    except (OSError, ValueError):
        return None


def _resident_mb(root: Path) -> float:
    try:
        pages = int((root / "proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
