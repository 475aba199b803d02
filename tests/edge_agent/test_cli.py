import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent import __version__, cli
from edge_agent.detect import SHIPPED
from edge_agent.run_command import configuration


def edge_agent(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_agent", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_version_names_the_agent_and_its_runtime() -> None:
    found = json.loads(edge_agent("version", "--json").stdout)
    assert found["maskwatch"] == __version__
    assert {"ai-edge-litert", "tflite-runtime"} & set(found)


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["run", "--no-such-flag"], ["predict"]])
def test_wrong_usage_ends_with_2_and_a_hint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: edge-agent" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the full disk that Linux has")
@pytest.mark.parametrize("words", [("version",), ("models", "inspect", SHIPPED)])
def test_an_output_that_is_full_is_one_line(words: tuple[str | Path, ...]) -> None:
    command = [sys.executable, "-m", "edge_agent", *map(str, words)]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert done.returncode == 74
    assert done.stderr == "edge-agent: cannot write the output: No space left on device\n"


def test_ctrl_c_while_a_command_is_being_loaded_ends_without_a_traceback(tmp_path, monkeypatch) -> None:
    (tmp_path / "interrupted_command.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(cli.COMMANDS, "version", ("interrupted_command", "is interrupted"))
    assert cli.main(["version"]) == 130


@pytest.mark.parametrize("settings", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "utf-8"}])
def test_a_name_that_the_output_cannot_encode_is_escaped_and_the_others_go_on(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    names = ["caf\udce9.png", "caf\u00e9.png", "\U0001f637.png", "plain.png"]
    picture = cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    for name in names:
        (tmp_path / name).write_bytes(picture[: None if name.isprintable() else 30])
    env = {name: value for name, value in os.environ.items() if name not in ("LANG", "LC_ALL")} | settings
    for extra in ((), ("--json",)):
        command = [sys.executable, "-m", "edge_agent", "predict", *extra, *names]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False, env=env, cwd=tmp_path)
        assert (done.returncode, b"Traceback" in done.stderr) == (65, False)
        lines = done.stdout.decode().splitlines()  # whole UTF-8, or fewer letters
        assert len(lines) == 4
        assert lines[3].split()[0] == ("plain.png:" if not extra else '{"image":')
    assert [json.loads(line)["image"] for line in lines] == names


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("mqtt.port = 0", "mqtt.port"),
        ("[decide]\nmin_hitz = 3", "min_hitz"),
        ("[[camera]]\nname = 'x'", "camera[0].source"),
        ("no toml at all", "agent.toml"),
    ],
)
def test_a_bad_configuration_ends_with_78_and_one_line_that_names_the_key(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    done = edge_agent("run", "--config", path, "--state-dir", tmp_path)
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1
    assert key in done.stderr


def test_a_configuration_without_a_camera_does_not_fall_back_to_the_sample(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("[stats]\ninterval_s = 5\n")
    done = edge_agent("run", "--config", path, "--state-dir", tmp_path)
    assert done.returncode == 78
    assert "names no camera" in done.stderr


def test_a_source_on_the_command_line_keeps_the_rest_of_the_configured_camera(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("[[camera]]\nname = 'door'\nsource = '0'\nmax_fps = 5\n")
    args = cli._parser(["run"]).parse_args(["run", "--config", str(path), "--source", "clip.mp4"])
    camera = configuration(args).camera
    assert [(c.name, c.source, c.max_fps) for c in camera] == [("door", str(Path.cwd() / "clip.mp4"), 5)]


@pytest.mark.parametrize("source", ["0", "/dev/video7", "csi", "rtsp://cam/1", "file:///a.mp4"])
def test_a_camera_on_the_command_line_is_no_file(tmp_path: Path, source: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("[[camera]]\nsource = '1'\n")
    args = cli._parser(["run"]).parse_args(["run", "--config", str(path), "--source", source])
    assert configuration(args).camera[0].source == source
