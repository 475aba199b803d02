"""Frames a second, latency per stage, and the agent's overhead over its two networks' own invocations, on a clip.

    python benchmarks/pipeline.py CLIP [--config FILE] [--width 1280] [--repeat 3]
    python benchmarks/pipeline.py                      # made from the sample: 1280x720, four faces that move

Decoding the clip and encoding JPEGs are reported apart: they are the camera's and the disk's price. `overhead` is a
looked-at frame's time less what the two interpreters spent inside `invoke`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from edge_agent.build import running_agent
from edge_agent.config import load
from edge_agent.host import PAGE_BYTES
from edge_agent.run_command import SAMPLE

cv2.setNumThreads(1)


class TimedInterpreter:
    """An interpreter that adds up the seconds it spent in `invoke`."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self.seconds = 0.0
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._interpreter, name)

    def invoke(self) -> None:
        started = time.perf_counter()
        self._interpreter.invoke()
        self.seconds += time.perf_counter() - started
        self.calls += 1


def timed(part: Any) -> TimedInterpreter:
    """Put a timer into a detector's or classifier's runtime."""
    runtime = part._runtime
    runtime._interpreter = TimedInterpreter(runtime._interpreter)
    return runtime._interpreter


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


def enlarged(clip: Path, width: int, folder: Path) -> Path:
    """The clip at another width, as MJPEG, so that decoding costs what a USB camera's does."""
    capture = cv2.VideoCapture(str(clip))
    fps = capture.get(cv2.CAP_PROP_FPS) or 25.0
    out = folder / f"{clip.stem}-{width}.avi"
    writer = None
    while True:
        ok, bgr = capture.read()
        if not ok:
            break
        height = round(bgr.shape[0] * width / bgr.shape[1] / 2) * 2
        if writer is None:
            writer = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
        writer.write(cv2.resize(bgr, (width, height)))
    if writer is None:
        sys.exit(f"{clip}: no picture can be read")
    writer.release()
    return out


def four_faces(folder: Path, frames: int = 150) -> Path:
    """1280x720 MJPEG: four people of the sample side by side, swaying."""
    capture = cv2.VideoCapture(str(SAMPLE))
    pictures = []
    while True:
        ok, bgr = capture.read()
        if not ok:
            break
        pictures.append(bgr)
    # Where the sample's figure stands in the middle of its walks: frame, left edge of a part 320 px wide
    parts = [pictures[frame][:, left : left + 320] for frame, left in ((30, 430), (90, 250), (150, 430), (28, 400))]
    out = folder / "four-faces.avi"
    writer = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (1280, 720))
    for index in range(frames):
        picture = np.full((720, 1280, 3), 170, np.uint8)
        for place, part in enumerate(parts):
            top = 90 + round(60 * np.sin(index / 12 + place))
            picture[top : top + part.shape[0], place * 320 : (place + 1) * 320] = part
        writer.write(picture)
    writer.release()
    return out


def jpeg_ms(clip: Path) -> float:
    """Median milliseconds to encode one of the clip's pictures, quality 88."""
    capture = cv2.VideoCapture(str(clip))
    _, bgr = capture.read()
    times = []
    for _ in range(20):
        started = time.perf_counter()
        cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def measure(clip: Path, config_file: Path | None) -> dict[str, Any]:
    """One run of the agent over the clip."""
    overrides = {
        "camera": [{"name": "bench", "source": str(clip)}],
        "http": {"enabled": False},
        "motion": {"enabled": False},
        "log": {"level": "error"},
    }
    config = load(config_file, overrides=overrides)
    with tempfile.TemporaryDirectory() as folder, running_agent(config, Path(folder)) as (agent, _):
        predictor = agent.parts.predictor
        timers = {"detector": timed(predictor.detector), "classifier": timed(predictor.classifier)}
        summary = agent.run()
        stages = agent.watch.total_s
    frames = summary["frames"]
    invoked_ms = sum(timer.seconds for timer in timers.values()) / frames * 1e3
    frame_ms = stages["frame"] / frames * 1e3
    return {
        "frames": frames,
        "faces_per_frame": summary["faces"] / frames,
        "fps": summary["fps"],
        "latency_ms": summary["latency_ms"],
        "frame_ms": frame_ms,
        "invoked_ms": invoked_ms,
        "detector_ms": timers["detector"].seconds / max(1, timers["detector"].calls) * 1e3,
        "classifier_ms": timers["classifier"].seconds / max(1, timers["classifier"].calls) * 1e3,
        "overhead_ms": frame_ms - invoked_ms,
        "resident_mb": resident_mb(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--width", type=int, help="scale the clip to this width first")
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    if args.clip is not None and not args.clip.is_file():
        sys.exit(f"{args.clip} is not there")
    with tempfile.TemporaryDirectory() as folder:
        clip = args.clip or four_faces(Path(folder))
        if args.width:
            clip = enlarged(clip, args.width, Path(folder))
        runs = [measure(clip, args.config) for _ in range(args.repeat)]
        encode_ms = jpeg_ms(clip)
    best = min(runs, key=lambda run: run["frame_ms"])
    print(f"$ {' '.join(['python', *sys.argv])}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, OpenCV {cv2.__version__}, ",
        end="",
    )
    print(f"numpy {np.__version__}; the quickest of {args.repeat} runs")
    print(f"frames {best['frames']}, {best['faces_per_frame']:.2f} faces a frame, {best['fps']:.1f} frames a second")
    for stage, figures in best["latency_ms"].items():
        print(f"  {stage:<12} p50 {figures['p50']:8.3f} ms   p95 {figures['p95']:8.3f} ms")
    print(f"  {'jpeg':<12} p50 {encode_ms:8.3f} ms   (only where a picture is saved or watched)")
    print(f"a frame without decoding and JPEG: {best['frame_ms']:.2f} ms")
    print(f"  invocations {best['invoked_ms']:.2f} ms: detector {best['detector_ms']:.2f} ms a call, ", end="")
    print(f"classifier {best['classifier_ms']:.2f} ms a call")
    print(f"  overhead {best['overhead_ms']:.2f} ms = {best['overhead_ms'] / best['frame_ms']:.0%} of the frame")
    print(f"resident {best['resident_mb']:.0f} MB (with this benchmark)")


if __name__ == "__main__":
    main()
