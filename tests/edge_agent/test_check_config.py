"""`check-config` calls good what `run` takes, and ends with run's status and line for what it refuses."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.cli import main
from edge_agent.config import load
from edge_agent.run_command import SAMPLE

CAMERA = f'[[camera]]\nsource = "{SAMPLE}"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def checked(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["check-config", "--quiet", str(path)])
    said = capsys.readouterr()
    assert said.out == ""
    return status, said.err.strip()


def ran(path: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "edge_agent", "run", "--quiet", "--config", str(path)]
    command += ["--state-dir", str(path.parent / "state")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        pytest.param(CAMERA + '[http]\ntoken_file = "tok"\n', 78, "tok holds a short token; give 16", id="short token"),
        pytest.param("[stats]\ninterval_s = 5\n", 78, "names no camera; add [[camera]] with a source", id="no camera"),
        pytest.param('[[camera]]\nsource = "no.mp4"\n', 66, "there is no clip", id="no clip"),
        pytest.param('[[camera]]\nsource = "-1"\n', 66, "there is no clip", id="no number"),
        pytest.param('[[camera]]\nsource = "tok"\n', 69, "no picture can be read from", id="no video"),
        pytest.param('[[camera]]\nsource = "empty"\n', 69, "no picture can be read in", id="no picture"),
        pytest.param('[[camera]]\nsource = "nowhere/"\n', 66, "there is no clip", id="no folder"),
    ],
)
def test_what_run_refuses_is_refused_with_its_status_and_line(tmp_path, capsys, text, status, words):
    (tmp_path / "tok").write_text("short")
    (tmp_path / "empty").mkdir()
    path = write(tmp_path, text)
    found = checked(path, capsys)
    assert found[0] == status
    assert words in found[1]
    assert len(found[1].splitlines()) == 1
    assert ran(path)[0] == status
    assert ran(path)[1].endswith(found[1])


@pytest.mark.parametrize("source", ["7", "/dev/video99", "rtsp://nobody.invalid/1", "csi"])
def test_a_camera_need_not_answer(tmp_path, capsys, source):
    assert checked(write(tmp_path, f'[[camera]]\nsource = "{source}"\n'), capsys)[0] == 0


@pytest.mark.parametrize("source", ["clip.mp4", "./clip.mp4", "07:00.mp4", "pictures", "../outside.mp4"])
def test_a_relative_clip_or_folder_lies_beside_the_configuration(tmp_path, capsys, monkeypatch, source):
    folder, elsewhere = tmp_path / "config", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "pictures").mkdir(parents=True)
    picture = cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    (folder / "pictures" / "1.png").write_bytes(picture)
    if source != "pictures":
        (folder / source).write_bytes(SAMPLE.read_bytes())
    monkeypatch.chdir(elsewhere)
    path = write(folder, f'[[camera]]\nsource = "{source}"\n[http]\nenabled = false\n')
    assert load(path, {}).camera[0].source == str(folder / source)
    assert load(path, {"MASKWATCH_CAMERA__0__SOURCE": "b.mp4"}).camera[0].source == str(folder / "b.mp4")
    assert checked(path, capsys)[0] == 0
    assert ran(path)[0] == 0


def test_without_a_file_a_relative_clip_lies_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(None, {"MASKWATCH_CAMERA__0__SOURCE": "b.mp4"}).camera[0].source == str(tmp_path / "b.mp4")


def test_a_configuration_of_the_environment_alone_needs_no_camera(capsys):
    assert main(["check-config", "--quiet"]) == 0
    assert "`run` will play the sample clip" in capsys.readouterr().err


@pytest.mark.parametrize(
    "token", ["a-token with a gap in it", "a-token-with-an-\u00e9", "a-token\nof-two-lines-of-text", "\0" * 20]
)
def test_a_token_that_no_header_carries_is_refused(tmp_path, capsys, token):
    (tmp_path / "tok").write_text(token)
    path = write(tmp_path, CAMERA + '[http]\ntoken_file = "tok"\n')
    status, line = checked(path, capsys)
    assert status == 78
    assert line.endswith(
        f"http.token_file: {tmp_path / 'tok'} holds a space or a letter that is not ASCII; "
        "give one word, say from `openssl rand -hex 16`"
    )
    assert token not in line
    assert ran(path) == (78, line)
