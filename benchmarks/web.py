"""What viewers and predictions cost the camera: the loop's rate alone, with viewers, with viewers and predictions.

    python benchmarks/web.py [--viewers 8] [--seconds 6] [--rounds 3] [--json out.json]

Runs `edge-agent run` on the sample clip, repeated, once as fast as it goes and once at a camera's 25 frames a second.
Viewers and the two senders of pictures run on the same machine, in this process, and take their share of it.
The three are measured in turn, again and again, and each figure is the median: what else the machine does bears on all.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import cv2

SAMPLE = Path(__file__).parents[1] / "edge_agent" / "samples" / "sample.mp4"
HEAD = b"X-Frame:"  # one a picture
CAMERA_FPS = 25.0
FASTEST_FPS = 150.0  # no loop goes faster: so many frames make the clip long enough


@dataclass
class Load:
    """Viewers and senders, until `stop`."""

    port: int
    picture: bytes
    stop: threading.Event = field(default_factory=threading.Event)
    pictures: int = 0
    latencies_s: list[float] = field(default_factory=list)
    refused: int = 0
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, viewers: int, senders: int) -> None:
        for work in [self.view] * viewers + [self.send] * senders:
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self.threads.append(thread)

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(5)

    def view(self) -> None:
        while not self.stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):  # a starved server: the figures show it
                self.look()

    def look(self) -> None:
        """Take the live view as it comes, and count its pictures."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", "/live.mjpg")
            answer, tail = connection.getresponse(), b""
            while not self.stop.is_set() and (data := answer.read1(65536)):
                self.pictures += (tail + data).count(HEAD)
                tail = data[1 - len(HEAD) :]

    def send(self) -> None:
        while not self.stop.is_set():
            started_s = time.perf_counter()
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}/predict", self.picture, {"content-type": "image/jpeg"}
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    answer.read()
                self.latencies_s.append(time.perf_counter() - started_s)
            except OSError:  # 429, or no answer in time
                self.refused += 1
                time.sleep(0.2)


def make_clip(folder: Path, length: int) -> tuple[Path, bytes]:
    """The sample again and again, and one of its pictures as JPEG."""
    capture = cv2.VideoCapture(str(SAMPLE))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    height, width = frames[0].shape[:2]
    path = folder / "long.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), CAMERA_FPS, (width, height))
    for index in range(length):
        writer.write(frames[index % len(frames)])
    writer.release()
    return path, cv2.imencode(".jpg", frames[len(frames) // 6])[1].tobytes()


@contextlib.contextmanager
def agent(folder: Path, clip: Path, realtime: bool) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "agent.toml"
    real = "true" if realtime else "false"
    config.write_text(f'[[camera]]\nsource = "{clip}"\nrealtime = {real}\n[http]\nport = {port}\n')
    command = [sys.executable, "-m", "edge_agent", "run", "--quiet", "--config", str(config)]
    process = subprocess.Popen(
        [*command, "--state-dir", str(folder / "state")], stderr=subprocess.DEVNULL, env=os.environ
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/ready")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def wait_for(url: str) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=3):
            return
        time.sleep(0.2)
    raise SystemExit(f"{url} does not answer; see edge-agent run")


def rate(port: int, seconds: float) -> float:
    """Frames a second that the loop finished in so many seconds."""
    first, began_s = frame(port), time.perf_counter()
    time.sleep(seconds)
    return (frame(port) - first) / (time.perf_counter() - began_s)


def frame(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/now", timeout=10) as answer:
        return int(json.load(answer)["cameras"][0]["frame"])


def measure(port: int, picture: bytes, viewers: int, seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Medians by load: alone, viewers, viewers and predictions."""
    loads = {"alone": (0, 0), "viewers": (viewers, 0), "viewers and predictions": (viewers, 2)}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in loads}
    for _ in range(rounds):
        for name, (looking, sending) in loads.items():
            found[name].append(measure_one(Load(port, picture), looking, sending, seconds))
    return {name: medians(rows) for name, rows in found.items()}


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """By key, over the rows that have it."""
    return {key: median(row[key] for row in rows if key in row) for one in rows for key in one}


def measure_one(load: Load, viewers: int, senders: int, seconds: float) -> dict[str, float]:
    load.start(viewers, senders)
    time.sleep(1.0)
    load.latencies_s.clear()
    before = load.pictures
    row = {"frames_per_s": rate(load.port, seconds)}
    if viewers:
        row["pictures_per_s_a_viewer"] = (load.pictures - before) / seconds / viewers
    if senders:
        row["predictions_per_s"] = len(load.latencies_s) / seconds
        row["refused"] = float(load.refused)
        if load.latencies_s:
            row["prediction_p50_ms"] = median(load.latencies_s) * 1e3
    load.end()
    time.sleep(1.0)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    figures: dict[str, Any] = {"viewers": args.viewers, "rounds": args.rounds, "load_1min": os.getloadavg()[0]}
    running_s = (args.seconds + 3) * 3 * args.rounds + 15
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for mode, realtime, fps in (("camera at 25 fps", True, CAMERA_FPS), ("as fast as it goes", False, FASTEST_FPS)):
            clip, picture = make_clip(folder, int(running_s * fps))
            with agent(folder, clip, realtime) as port:
                figures[mode] = measure(port, picture, args.viewers, args.seconds, args.rounds)
            print(f"{mode}:")
            for load, row in figures[mode].items():
                print(f"  {load:24}" + "  ".join(f"{key} {value:.1f}" for key, value in row.items()))
    print(f"{os.cpu_count()} cores; load of the machine when it began: {figures['load_1min']:.1f}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
