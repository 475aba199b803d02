"""What the pipeline costs at its edges: a still scene, the start to the first verdict, fifty faces at once.

    python benchmarks/people.py [--seconds 60] [--repeat 5]

Real `edge-agent run` processes on a camera of this script's own (MJPEG over HTTP, 1280x720), and one agent within this
process for the fifty faces. Processor time is the kernel's own count, so a busy machine changes it little; the
times to the first verdict are wall clock, and a busy machine makes them longer.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from pipeline import four_faces, measure

from edge_agent.run_command import SAMPLE

cv2.setNumThreads(1)
WIDTH, HEIGHT = 1280, 720
STILL_FPS, FACES_FPS = 5, 10
SETTLE_S = 15.0
START_WITHIN_S = 300.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# The sample's three faces and some room around each: frame, left, top
FACES = ((30, 508, 118), (90, 278, 97), (150, 511, 116))
FACE_PX = (166, 196)


@contextlib.contextmanager
def camera(jpegs: list[bytes], fps: float) -> Iterator[str]:
    """The address of a camera that shows these pictures in turn."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with contextlib.suppress(OSError):
                index = 0
                while True:
                    jpeg = jpegs[index % len(jpegs)]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                    index += 1
                    time.sleep(1 / fps)

        def log_message(self, *words: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/camera.mjpg"
    server.shutdown()


@contextlib.contextmanager
def agent(source: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running `edge-agent run`; its events go to FOLDER/events.jsonl."""
    command = [sys.executable, "-m", "edge_agent", "run", "--quiet", "--source", source]
    command += ["--state-dir", str(folder / "state"), "--events", str(folder / "events.jsonl")]
    env = os.environ | {"MASKWATCH_HTTP__PORT": "0", "MASKWATCH_LOG__LEVEL": "error"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def encoded(bgr: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def still_scene(seconds: float) -> None:
    """Share of a core with nobody there: sensor noise on a room that does not change."""
    rng = np.random.default_rng(0)
    room = cv2.resize(rng.integers(30, 200, (9, 16, 3), dtype=np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    noisy = [np.clip(room + rng.normal(0, 2, room.shape), 0, 255).astype(np.uint8) for _ in range(7)]
    jpegs = [encoded(bgr) for bgr in noisy]
    began_s = time.process_time()
    for jpeg in jpegs * 5:
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    decoding = (time.process_time() - began_s) / (5 * len(jpegs)) * STILL_FPS
    with tempfile.TemporaryDirectory() as folder, camera(jpegs, STILL_FPS) as url, agent(url, Path(folder)) as process:
        time.sleep(SETTLE_S)
        began_s, used_s = time.monotonic(), processor_s(process.pid)
        time.sleep(seconds)
        share = (processor_s(process.pid) - used_s) / (time.monotonic() - began_s)
        memory_mb = resident_mb(process.pid)
    print(f"still scene, {STILL_FPS} frames a second: {share:.1%} of a core, all threads; decoding its JPEGs ", end="")
    print(f"costs {decoding:.1%} by itself, so {share - decoding:.1%} without; resident {memory_mb:.0f} MB")


def first_verdicts(repeat: int) -> None:
    """Seconds from starting the process to the first event, four faces in view from the first picture."""
    with tempfile.TemporaryDirectory() as folder:
        clip = four_faces(Path(folder))
        capture = cv2.VideoCapture(str(clip))
        jpegs = []
        while (read := capture.read())[0]:
            jpegs.append(encoded(read[1]))
        with camera(jpegs, FACES_FPS) as url:
            for name, source in ((f"a camera, {FACES_FPS} frames a second", url), ("a clip", str(clip))):
                took_s, used_s = zip(*(first_verdict_s(source) for _ in range(repeat)), strict=True)
                print(f"start to first verdict, {name}: median {statistics.median(took_s):.2f} s, ", end="")
                print(f"{min(took_s):.2f} to {max(took_s):.2f} s; of processor time {min(used_s):.2f} s; n = {repeat}")


def first_verdict_s(source: str) -> tuple[float, float]:
    """Wall-clock and processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        events, began_s = Path(folder) / "events.jsonl", time.monotonic()
        with agent(source, Path(folder)) as process:
            while not (events.exists() and events.stat().st_size):
                if time.monotonic() - began_s > START_WITHIN_S:
                    sys.exit(f"no verdict within {START_WITHIN_S:.0f} s")
                time.sleep(0.002)
            return time.monotonic() - began_s, processor_s(process.pid)


def fifty_faces(folder: Path) -> Path:
    """Two seconds of nobody, four of fifty people who sway, two of nobody: MJPEG, 12.5 frames a second."""
    capture = cv2.VideoCapture(str(SAMPLE))
    pictures = []
    while (read := capture.read())[0]:
        pictures.append(read[1])
    wide, high = FACE_PX
    faces = [pictures[at][top : top + high, left : left + wide] for at, left, top in FACES]
    cell_w, cell_h = WIDTH // 10, HEIGHT // 5
    small = [cv2.resize(face, (cell_w - 8, cell_h - 8), interpolation=cv2.INTER_AREA) for face in faces]
    out = folder / "fifty-faces.avi"
    writer = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (WIDTH, HEIGHT))
    for index in range(100):
        picture = np.full((HEIGHT, WIDTH, 3), 170, np.uint8)
        for place in range(50 if 25 <= index < 75 else 0):
            left = place % 10 * cell_w + 4 + round(3 * np.sin(index / 5 + place))
            top = place // 10 * cell_h + 4
            picture[top : top + cell_h - 8, left : left + cell_w - 8] = small[place % 3]
        writer.write(picture)
    writer.release()
    return out


def burst() -> None:
    """Milliseconds of a frame when fifty faces come at once, and what became of them."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(fifty_faces(Path(folder)), None)
    frame = found["latency_ms"]["frame"]
    faces = found["faces_per_frame"] * found["frames"] / 50
    print(f"fifty faces at once: {faces:.1f} of 50 found in a frame; a frame p95 {frame['p95']:.0f} ms, ", end="")
    print(f"of it networks {found['invoked_ms'] * 2:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long the still scene is watched")
    parser.add_argument("--repeat", type=int, default=5, help="starts to the first verdict")
    arguments = parser.parse_args()
    print(f"$ {' '.join(['python', *sys.argv])}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, OpenCV {cv2.__version__}")
    still_scene(arguments.seconds)
    first_verdicts(arguments.repeat)
    burst()


if __name__ == "__main__":
    main()
