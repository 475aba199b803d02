"""The integrator's guide does what it says: each of its commands runs, its Python too, its table of errors is true."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import pytest

from edge_agent import FaceMaskPredictor
from edge_agent.records import Box
from edge_agent.web import WebSources
from web_support import BrightFaces, encoded, picture, playing, running

GUIDE = (Path(__file__).parents[2] / "docs" / "guide-integrator.md").read_text()
SAMPLE = Path(__file__).parents[2] / "edge_agent" / "samples" / "sample.mp4"
PEOPLE = b'maskwatch_people{camera="door",label="with_mask"} 1.0\n'
TOKEN = "correct-horse-battery-staple"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def on():
    faces = BrightFaces()
    sources = WebSources(predictor=lambda: faces, metrics=lambda: PEOPLE)
    with running(sources=sources) as running_server, playing(running_server.state):
        yield running_server


@pytest.mark.skipif(shutil.which("curl") is None, reason="the guide's commands are for curl, which is not here")
def test_every_command_of_the_integrators_guide_runs(on, tmp_path):
    for name in ("door.jpg", "hall.jpg"):
        (tmp_path / name).write_bytes(encoded(picture()))
    (tmp_path / "notes.txt").write_text("no picture")
    commands = [line for block in blocks("sh") for line in block.splitlines() if not line.startswith("URL=")]
    assert len(commands) > 12
    printed = {}
    for command in commands:
        script = f"set -e -o pipefail; URL={on.server.url}; TOKEN={TOKEN}; {command}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode in {0, 124}, (command, done.stderr)
        printed[command] = done.stdout
    faces = [
        json.loads(out)["faces"] for command, out in printed.items() if command.endswith("/predict") and "@" in command
    ]
    assert [len(one) for one in faces] == [1, 1]
    (batch,) = [out for command, out in printed.items() if "batch_predict" in command]
    lines = [json.loads(line) for line in batch.splitlines()]
    assert [line["image"] for line in lines] == ["door.jpg", "hall.jpg", "notes.txt"]
    assert lines[2] == json.loads(next(line for line in GUIDE.splitlines() if line.startswith('{"image": "notes.txt"')))
    (events,) = [out for command, out in printed.items() if "events/stream" in command]
    assert "event: now" in events
    assert (tmp_path / "now.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert b"X-Frame" in (tmp_path / "live.mjpg").read_bytes()


def test_the_prediction_shown_is_what_the_shipped_models_say_of_the_sample():
    (shown,) = next(json.loads(block) for block in blocks("json") if "probabilities" in block)["faces"]
    clip = cv2.VideoCapture(str(SAMPLE))
    frames = [clip.read()[1] for _ in range(91)]
    (given,) = FaceMaskPredictor().predict(frames[90], "door.jpg").to_json()["faces"]
    assert Box(*given["box"]).iou(Box(*shown["box"])) > 0.8
    assert (given["label"], given["certain"]) == (shown["label"], shown["certain"])
    assert given["probabilities"] == pytest.approx(shown["probabilities"], abs=0.05)


def test_the_python_of_the_guide_predicts(on):
    space: dict = {}
    (code,) = blocks("python")
    exec(code, space)
    assert len(space["predict"](on.server.url, encoded(picture()))["faces"]) == 1


def test_the_error_shown_is_the_error_given(on):
    shown = next(json.loads(block) for block in blocks("json") if "remedy" in block)
    given = on.client.post("/predict", content=b"no picture", headers={"content-type": "image/jpeg"}).json()
    assert given == shown


def test_the_health_shown_has_the_keys_given(on):
    shown = next(json.loads(block) for block in blocks("json") if "uptime_s" in block)
    assert set(on.client.get("/health").json()) == set(shown)


def test_openapi_in_docs_is_the_one_that_is_served():
    from edge_agent import __version__
    from edge_agent.config import HttpConfig
    from edge_agent.web.openapi import document

    stored = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
    assert stored == json.loads(json.dumps(document(HttpConfig(), __version__))), (
        "run python -m edge_agent.web.openapi > docs/openapi.json"
    )
