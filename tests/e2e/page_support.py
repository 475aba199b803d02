"""A camera that can be taken away, an agent that watches it, and a real Chromium that looks at its page."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

SAMPLE = Path(__file__).parents[2] / "edge_agent" / "samples" / "sample.mp4"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions"]
expect.set_options(timeout=60_000)  # a busy machine is slow, and that is no mistake of the page


def slow_clip(path: Path, frames: Sequence[bytes], seconds: float) -> Path:
    """Some of the pictures as a video file of so many seconds."""
    pictures = [cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR) for frame in frames[::4]]
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), len(pictures) / seconds, (width, height))
    for one in pictures:
        writer.write(one)
    writer.release()
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def sample_frames() -> tuple[bytes, ...]:
    """The sample clip as JPEG pictures."""
    capture = cv2.VideoCapture(str(SAMPLE))
    frames = []
    while (read := capture.read())[0]:
        frames.append(cv2.imencode(".jpg", read[1])[1].tobytes())
    capture.release()
    return tuple(frames)


class Camera:
    """A network camera that shows the sample clip again and again; `unplug` and `plug` do what they say."""

    def __init__(self, frames: Sequence[bytes], fps: float = 8) -> None:
        self.frames, self.fps, self.port = frames, fps, free_port()
        self.url = f"http://127.0.0.1:{self.port}/camera.mjpg"
        self._server: ThreadingHTTPServer | None = None
        self._gone = threading.Event()
        self._started_s = time.monotonic()

    def plug(self) -> None:
        self._gone = gone = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with contextlib.suppress(OSError):
                    while not gone.wait(1 / camera.fps):
                        picture = camera.now()
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                        self.wfile.write(head.encode() + picture + b"\r\n")

            def log_message(self, *words: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def unplug(self) -> None:
        self._gone.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def now(self) -> bytes:
        """The picture of this moment: the clip runs at its own speed, however often it is asked for."""
        return self.frames[int((time.monotonic() - self._started_s) * 12.5) % len(self.frames)]


@dataclass
class Agent:
    """A running `edge-agent run`."""

    process: subprocess.Popen[str]
    url: str

    def wait(self, path: str, status: int = 200, within_s: float = 90) -> None:
        deadline = time.monotonic() + within_s
        seen: object = None
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + path, timeout=3) as answer:
                    seen = answer.status
            except urllib.error.HTTPError as error:
                seen = error.code
            except OSError as error:
                seen = error
            if seen == status:
                return
            time.sleep(0.2)
        raise AssertionError(f"{path} did not answer {status} within {within_s} s, but {seen}")


@contextlib.contextmanager
def agent(folder: Path, source: str, http: str = "", camera: str = "") -> Iterator[Agent]:
    """Run the agent on a source until the block ends; http and camera: more lines of these sections."""
    port = free_port()
    config = folder / "agent.toml"
    config.write_text(
        f'[device]\nname = "front-door"\n[[camera]]\nname = "door"\nsource = "{source}"\n{camera}\n'
        f"[http]\nport = {port}\n{http}"
    )
    command = [sys.executable, "-m", "edge_agent", "run", "--quiet", "--config", str(config)]
    log = (folder / "agent.log").open("w")
    process = subprocess.Popen(
        [*command, "--state-dir", str(folder / "state")],
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        running = Agent(process, f"http://127.0.0.1:{port}")
        running.wait("/login")
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
        log.close()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    assert CHROMIUM, "no chromium here; install it, for instance with apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def complains(line: ConsoleMessage) -> bool:
    """Errors and warnings, but for answers that a test asks for (422, 503) and reading pixels, which only tests do."""
    expected = ("status of 422", "status of 503", "willReadFrequently", "ERR_CONNECTION", "ERR_INCOMPLETE")
    return line.type in {"error", "warning"} and not any(words in line.text for words in expected)


@contextlib.contextmanager
def page_of(browser: Browser, url: str, **options: object) -> Iterator[tuple[Page, list[str]]]:
    """A page and what it complained of: script errors, refused content, warnings of its console."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, "accept_downloads": True, **options})
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if complains(line) else None)
    page.goto(url)
    yield page, complaints
    context.close()
