"""What viewers and predictions cost the camera: the loop's rate alone, with viewers, with viewers and predictions.

    python benchmarks/web.py [--viewers 8] [--seconds 10] [--json out.json]

Runs `edge-agent run` on the sample clip, repeated, once as fast as it goes and once at a camera's 25 frames a second.
Viewers and the sender of pictures run on the same machine, in this process, and take their share of it.
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
from typing import Any

import cv2

SAMPLE = Path(__file__).parents[1] / "edge_agent" / "samples" / "sample.mp4"
CAMERA_FPS = 25.0


@dataclass
class Load:
    """Viewers and senders, until `stop`."""

    port: int
    picture: bytes
    stop: threading.Event = field(default_factory=threading.Event)
    viewed_bytes: int = 0
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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/live.mjpg")
        answer = connection.getresponse()
        while not self.stop.is_set():
            self.viewed_bytes += len(answer.read1(65536))
        connection.close()

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
            except urllib.error.HTTPError:
                self.refused += 1
                time.sleep(0.2)


def make_clip(folder: Path, seconds: float) -> tuple[Path, bytes]:
    """The sample again and again, and one of its pictures as JPEG."""
    capture = cv2.VideoCapture(str(SAMPLE))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    height, width = frames[0].shape[:2]
    path = folder / "long.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), CAMERA_FPS, (width, height))
    for index in range(int(seconds * CAMERA_FPS)):
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


def measure(port: int, picture: bytes, viewers: int, seconds: float) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, looking, sending in (("alone", 0, 0), ("viewers", viewers, 0), ("viewers and predictions", viewers, 2)):
        load = Load(port, picture)
        load.start(looking, sending)
        time.sleep(1.0)
        load.latencies_s.clear()
        before = load.viewed_bytes
        out[name] = {"frames_per_s": round(rate(port, seconds), 2)}
        out[name]["viewed_mb_per_s"] = round((load.viewed_bytes - before) / seconds / 1e6, 2)
        ordered = sorted(load.latencies_s)
        if ordered:
            out[name] |= {"predictions_per_s": round(len(ordered) / seconds, 2), "refused": load.refused}
            out[name]["prediction_p50_ms"] = round(ordered[len(ordered) // 2] * 1e3, 1)
        load.end()
        time.sleep(1.0)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    figures: dict[str, Any] = {"viewers": args.viewers, "seconds": args.seconds, "load_1min": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for mode, realtime, length_s in (("camera at 25 fps", True, 1), ("as fast as it goes", False, 8)):
            clip, picture = make_clip(folder, (args.seconds * 3 + 20) * length_s)
            with agent(folder, clip, realtime) as port:
                figures[mode] = measure(port, picture, args.viewers, args.seconds)
    for mode in ("camera at 25 fps", "as fast as it goes"):
        print(f"{mode}:")
        for name, row in figures[mode].items():
            print(f"  {name:24}" + "  ".join(f"{key} {value}" for key, value in row.items()))
    print(f"load of the machine when it began: {figures['load_1min']:.1f}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
