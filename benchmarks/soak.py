"""Does anything grow? Frames through motion, tracking, verdicts, liveness and saved pictures: python benchmarks/soak.py

python benchmarks/soak.py --frames 100000                exit status 1 where memory, threads or descriptors have a slope
python benchmarks/soak.py --frames 20000 --networks      a whole `edge-agent run` with its networks, on a clip so long
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from edge_agent.config import DecideConfig, LivenessConfig, MotionConfig, PrivacyConfig, RecordConfig, TrackConfig
from edge_agent.decide import Decider
from edge_agent.liveness import Liveness
from edge_agent.motion import MotionGate
from edge_agent.record import SnapshotStore
from edge_agent.records import Frame
from edge_agent.run_command import SAMPLE
from edge_agent.track import Tracker
from scene import KINDS, LABELS, make

FPS = 10
GROWTH_MB_MOST = 8.0
SAMPLES = 20


def resident_mb(process: Path = Path("/proc/self")) -> float:
    pages = int((process / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def soak(frames: int, root: Path) -> list[tuple[int, float, int, int]]:
    """(frame, resident MB, threads, file descriptors) at SAMPLES moments."""
    gate, liveness, tracker = MotionGate(MotionConfig()), Liveness(LivenessConfig()), Tracker(TrackConfig())
    decider = Decider(DecideConfig(), LABELS)
    record = RecordConfig(quota_bytes=500_000, min_free_bytes=0)
    store = SnapshotStore(root, record, PrivacyConfig(pictures="crop"), LABELS)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (720, 1280, 3), dtype=np.uint8) for _ in range(3)]
    samples, index = [], 0
    for seed, kind in enumerate(itertools.cycle(KINDS)):
        for moment in make(kind, seed % 50, FPS).moments:
            at_s = index / FPS
            frame = Frame("soak", index, at_s, 1.7e9 + at_s, pictures[index % 3])
            liveness.observe(frame, at_s)
            gate.moved(frame)
            events = decider.update(at_s, frame.utc_s, tracker.update(at_s, moment.readings), (1280, 720))
            store.offer(frame, decider.verdicts(), events)
            index += 1
            if index % max(1, frames // SAMPLES) == 0:
                samples.append((index, resident_mb(), threading.active_count(), open_files()))
            if index >= frames:
                store.close(10)
                return samples
    return samples


def soak_agent(frames: int, folder: Path) -> list[tuple[int, float, int, int]]:
    """The same of an agent in a process of its own, in even steps of time."""
    clip, seen = folder / "long.avi", []
    capture = cv2.VideoCapture(str(SAMPLE))
    while (read := capture.read())[0]:
        seen.append(read[1])
    height, width = seen[0].shape[:2]
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (width, height))
    for index in range(frames):
        writer.write(seen[index % len(seen)])
    writer.release()
    command = [sys.executable, "-m", "edge_agent", "run", "--quiet", "--source", str(clip), "--state-dir", str(folder)]
    moments: list[tuple[float, float, int, int]] = []
    env = os.environ | {"MASKWATCH_HTTP__PORT": "0", "MASKWATCH_MOTION__ENABLED": "false"}
    with subprocess.Popen(command, env=env) as agent:
        began_s = time.monotonic()
        while agent.poll() is None:
            time.sleep(1)
            process = Path(f"/proc/{agent.pid}")
            with contextlib.suppress(OSError, ValueError):  # it ends between two looks
                tasks, files = len(os.listdir(process / "task")), len(os.listdir(process / "fd"))
                moments.append((time.monotonic() - began_s, resident_mb(process), tasks, files))
        took_s = time.monotonic() - began_s
    if agent.returncode != 0:
        sys.exit(f"the agent ended with status {agent.returncode}")
    running = moments[: -max(2, len(moments) // 50)]  # not its end, when threads go
    return [(int(frames * at_s / took_s), *rest) for at_s, *rest in running[:: max(1, len(running) // SAMPLES)]]


def growth_mb(samples: list[tuple[int, float, int, int]]) -> float:
    """The straight line through the second half: megabytes from its beginning to its end."""
    half = samples[len(samples) // 2 :]
    x, y = np.array([s[0] for s in half], float), np.array([s[1] for s in half])
    return float(np.polyfit(x, y, 1)[0] * (x[-1] - x[0])) if len(half) > 1 else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--networks", action="store_true", help="a whole agent, detector and classifier included")
    arguments = parser.parse_args()
    began_s, cpu_s = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        samples = (soak_agent if arguments.networks else soak)(arguments.frames, Path(folder))
    for index, mb, threads, files in samples:
        print(f"{index:>8} frames {mb:7.1f} MB {threads:3} threads {files:4} file descriptors")
    grown = growth_mb(samples)
    half = samples[len(samples) // 2 :]
    steady = len({s[2] for s in half}) == 1 and max(s[3] for s in half) - min(s[3] for s in half) <= 2
    used = os.times()
    ms = 1e3 * (time.process_time() - cpu_s + used.children_user + used.children_system) / arguments.frames
    print(f"second half: {grown:+.2f} MB; {ms:.2f} ms of processor time a frame; {time.monotonic() - began_s:.0f} s")
    return 0 if steady and grown < GROWTH_MB_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
