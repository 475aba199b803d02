"""`edge-agent run` as a person runs it: real processes, the shipped sample, the shipped models."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

SAMPLES = Path(__file__).parents[2] / "edge_agent" / "samples"
MODELS = Path(__file__).parents[2] / "edge_agent" / "models"
COMMAND = [sys.executable, "-m", "edge_agent"]


def run_agent(folder: Path, *arguments: str | Path, port: int = 0) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"MASKWATCH_HTTP__PORT": str(port)}
    command = [*COMMAND, "run", "--state-dir", folder / "state", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=env, cwd=folder)


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One run of the sample that several tests look at."""
    folder = tmp_path_factory.mktemp("sample-run")
    clip = SAMPLES / "sample.mp4"
    done = run_agent(folder, "--source", clip, "--events", "events.jsonl", "--summary", "summary.json")
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_sample_has_the_visits_that_its_truth_states(
    sample_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = sample_run
    truth = json.loads((SAMPLES / "sample.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    expected = {"with_mask": 0, "without_mask": 0, "mask_weared_incorrect": 0}
    for visit in truth["visits"]:
        expected[visit["label"]] += 1
    assert summary["people"] == expected
    assert summary["cannot_tell"] == 0
    assert summary["frames"] == truth["frames"]


def test_the_summary_has_compliance_over_all_and_for_the_camera(
    sample_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = sample_run
    rows = json.loads((folder / "summary.json").read_text())["compliance"]
    assert [(row["window"], row["camera"], row["correct"], row["judged"]) for row in rows] == [
        (window, camera, 1, 3) for camera in (None, "camera") for window in ("hour", "day", "start")
    ]
    assert (rows[0]["rate"], rows[0]["low"], rows[0]["high"]) == (0.3333, 0.0615, 0.7923)


def test_events_tell_each_visit_from_new_to_end_under_one_id(
    sample_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = sample_run
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    visits: dict[str, list[str]] = {}
    for event in events:
        visits.setdefault(event["id"], []).append(event["type"])
    assert len(visits) == 3
    for types in visits.values():
        assert types[0] == "new"
        assert types[-1] == "end"
        assert set(types[1:-1]) <= {"update"}
    counted = [event["counted_as"] for event in events if event["type"] == "end"]
    assert counted == ["without_mask", "with_mask", "mask_weared_incorrect"]


def test_the_table_names_every_class_and_where_pictures_are(
    sample_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = sample_run
    for word in ("with_mask", "without_mask", "mask_weared_incorrect", "frames", "a second", "detect", "classify"):
        assert word in done.stdout
    summary = json.loads((folder / "summary.json").read_text())
    pictures = list((folder / "state" / "snapshots").glob("*/*.jpg"))
    assert len(pictures) == summary["saved"] > 0
    assert f"saved {summary['saved']} pictures in" in done.stdout
    assert all(cv2.imread(str(picture)) is not None for picture in pictures)


def test_a_clip_gives_the_same_counts_each_time(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        done = run_agent(tmp_path / name, "--source", SAMPLES / "sample.mp4", "--quiet", "--summary", "s.json")
        assert done.returncode == 0, done.stderr
        summary = json.loads((tmp_path / name / "s.json").read_text())
        found.append((summary["people"], summary["cannot_tell"], summary["frames"], summary["faces"]))
    assert found[0] == found[1]


def test_a_damaged_clip_is_watched_to_its_end_and_ends_with_69_and_the_numbers(tmp_path: Path) -> None:
    clip, data = tmp_path / "damaged.mp4", (SAMPLES / "sample.mp4").read_bytes()
    half = len(data) // 2
    clip.write_bytes(data[:half] + bytes(30_000) + data[half + 30_000 :])
    done = run_agent(tmp_path, "--source", clip, "--summary", "s.json")
    summary = json.loads((tmp_path / "s.json").read_text())
    camera = summary["cameras"]["camera"]
    assert camera["stated"] == json.loads((SAMPLES / "sample.json").read_text())["frames"]
    assert camera["missing"] == camera["stated"] - summary["frames"] > 0
    assert summary["people"]["mask_weared_incorrect"] == 1, "who comes after the damaged place is counted"
    assert re.search(rf"missing +{camera['missing']}  of {camera['stated']} that camera states", done.stdout)
    said = f"{summary['frames']} frames came of {camera['stated']} that {clip} states; {camera['missing']} could not"
    assert done.returncode == 69
    assert done.stderr.count(said) == 2  # in the log, and as the reason of the status
    assert done.stderr.splitlines()[-1].startswith(f"edge-agent: {said}")


def broken(path: Path, keep: int) -> Path:
    """A shipped model without its end."""
    path.write_bytes((MODELS / path.name).read_bytes()[:keep])
    return path


def test_what_is_wrong_ends_with_its_status_and_one_line(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    truncated = broken(tmp_path / "classifier.tflite", 200_000)
    config = tmp_path / "agent.toml"
    config.write_text(f"[classifier]\nmodel = '{truncated}'\n")
    missing = tmp_path / "missing.toml"
    missing.write_text("[detector]\nmodel = 'nowhere.tflite'\n")
    sample = str(SAMPLES / "sample.mp4")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cases = [
            (66, "nowhere.mp4", run_agent(tmp_path, "--source", "nowhere.mp4")),
            (69, "notes.mp4", run_agent(tmp_path, "--source", text)),
            (65, "classifier.tflite", run_agent(tmp_path, "--config", config, "--source", sample)),
            (66, "nowhere.tflite", run_agent(tmp_path, "--config", missing, "--source", sample)),
            (66, "nowhere/s.json", run_agent(tmp_path, "--source", sample, "--summary", "nowhere/s.json")),
            (69, "http.port", run_agent(tmp_path, "--source", sample, port=taken.getsockname()[1])),
        ]
    for status, word, done in cases:
        lines = [line for line in done.stderr.splitlines() if line.startswith("edge-agent: ")]
        assert done.returncode == status, (word, done.stderr)
        assert len(lines) == 1, done.stderr
        assert word in lines[0]
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_two_seconds_with_whole_files(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    env = os.environ | {"MASKWATCH_HTTP__PORT": str(port)}
    command = [*COMMAND, "run", "--state-dir", str(tmp_path / "state"), "--summary", str(tmp_path / "s.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as agent:
        wait_for(f"http://127.0.0.1:{port}/ready")
        started = time.monotonic()
        agent.send_signal(number)
        _, stderr = agent.communicate(timeout=30)
        took_s = time.monotonic() - started
    assert agent.returncode == 0, stderr
    assert took_s < 2.0
    assert "people" in json.loads((tmp_path / "s.json").read_text())
    for picture in (tmp_path / "state").glob("snapshots/*/*.jpg"):
        assert cv2.imread(str(picture)) is not None


def test_a_signal_ends_it_within_two_seconds_while_a_clip_decodes_more_slowly_than_it_plays(tmp_path: Path) -> None:
    picture = cv2.resize(np.random.default_rng(1).integers(0, 255, (108, 192, 3), dtype=np.uint8), (7680, 4320))
    (tmp_path / "slow.mjpeg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes() * 300)
    config, port = tmp_path / "agent.toml", free_port()
    config.write_text(f"[[camera]]\nsource = 'slow.mjpeg'\nrealtime = true\n[http]\nport = {port}\n")
    command = [*COMMAND, "run", "--config", str(config), "--state-dir", str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as agent:
        wait_for(f"http://127.0.0.1:{port}/ready")
        time.sleep(4)
        started = time.monotonic()
        agent.send_signal(signal.SIGTERM)
        _, stderr = agent.communicate(timeout=60)
        took_s = time.monotonic() - started
    assert agent.returncode == 0, stderr
    assert took_s < 2.0


def test_hangups_with_an_unchanged_configuration_count_nobody_twice(tmp_path: Path) -> None:
    port, truth = free_port(), json.loads((SAMPLES / "sample.json").read_text())
    env = os.environ | {"MASKWATCH_HTTP__PORT": str(port)}
    command = [*COMMAND, "run", "--state-dir", str(tmp_path / "state"), "--summary", str(tmp_path / "s.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as agent:
        wait_for(f"http://127.0.0.1:{port}/ready")
        for _ in range(5):
            agent.send_signal(signal.SIGHUP)
            time.sleep(1.5)
        _, stderr = agent.communicate(timeout=60)
    assert agent.returncode == 0, stderr
    assert stderr.count("configuration reloaded") >= 3
    summary = json.loads((tmp_path / "s.json").read_text())
    assert sum(summary["people"].values()) + summary["cannot_tell"] == len(truth["visits"])


def test_a_hangup_while_it_starts_ends_nothing(tmp_path: Path) -> None:
    command = [*COMMAND, "run", "--state-dir", str(tmp_path / "state"), "--summary", str(tmp_path / "s.json")]
    env = os.environ | {"MASKWATCH_HTTP__PORT": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as agent:
        status = Path(f"/proc/{agent.pid}/status")
        until = time.monotonic() + 30
        while not int(re.search(r"SigIgn:\s+(\w+)", status.read_text())[1], 16) & 1 and time.monotonic() < until:
            time.sleep(0.001)
        for _ in range(20):
            agent.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        _, stderr = agent.communicate(timeout=60)
    assert agent.returncode == 0, stderr
    assert json.loads((tmp_path / "s.json").read_text())["frames"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_ends_it_as_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    model = tmp_path / "classifier.tflite"
    os.mkfifo(model)
    env = os.environ | {"MASKWATCH_CLASSIFIER__MODEL": str(model), "MASKWATCH_HTTP__PORT": "0"}
    command = [*COMMAND, "run", "--state-dir", str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as agent:
        with model.open("wb"):  # opened only once the agent reads from the other end
            started = time.monotonic()
            agent.send_signal(number)
            stdout, stderr = agent.communicate(timeout=30)
        took_s = time.monotonic() - started
    assert (agent.returncode, stdout) == (0, "")
    assert "Traceback" not in stderr
    assert took_s < 2.0


def test_predict_prints_one_json_line_an_image_in_order(tmp_path: Path) -> None:
    capture = cv2.VideoCapture(str(SAMPLES / "sample.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 30)
    _, frame = capture.read()
    capture.release()
    good = tmp_path / "good.jpg"
    cv2.imwrite(str(good), frame)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(good.read_bytes()[:300])
    command = [*COMMAND, "predict", "--json", str(good), str(bad), "absent.jpg", str(good)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 65
    assert [line["image"] for line in lines] == [str(good), str(bad), "absent.jpg", str(good)]
    assert [set(line) for line in lines[1:3]] == [{"image", "error"}] * 2
    assert lines[0]["faces"][0]["label"] == "without_mask"
    assert lines[0] == lines[3]


def test_a_full_disk_under_the_events_loses_neither_table_nor_summary(tmp_path: Path) -> None:
    done = run_agent(tmp_path, "--source", SAMPLES / "sample.mp4", "--events", "/dev/full", "--summary", "s.json")
    assert sum(json.loads((tmp_path / "s.json").read_text())["people"].values()) == 3
    assert "with_mask" in done.stdout
    assert f"pictures in {tmp_path / 'state' / 'snapshots'}" in done.stdout
    assert done.returncode == 69
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"edge-agent: \d+ events are missing in /dev/full, which could not be written; .*", last)


def test_a_summary_goes_into_a_pipe_that_stays_one(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures/one.png"), np.zeros((48, 64, 3), np.uint8))
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE) as reader:
        done = run_agent(tmp_path, "--source", tmp_path / "pictures", "--summary", "pipe")
        assert (done.returncode, (tmp_path / "pipe").is_fifo()) == (0, True), done.stderr
        assert json.loads(reader.communicate(timeout=30)[0])["frames"] == 1


def test_a_folder_without_write_permission_for_state_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    command = [*COMMAND, "run", "--source", str(SAMPLES / "sample.mp4"), "--state-dir", str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 69
    assert "state directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sample_lies_in_the_package_and_is_small() -> None:
    assert (SAMPLES / "sample.mp4").stat().st_size < 1_000_000


@pytest.mark.parametrize("source", ["it's here.mp4", "rtsp://user:pa$word@camera/stream?a=1&b=2", "0"])
def test_make_run_hands_a_source_over_as_it_is_given(source: str) -> None:
    root = Path(__file__).parents[2]
    command = ["make", "--silent", "--dry-run", "run", f"SOURCE={source}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    words = shlex.split(done.stdout.splitlines()[-1])
    assert words[-2:] == ["--source", source]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(url: str, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer within {within_s} s")


def test_the_wheel_holds_the_agent_with_its_models_and_nothing_else(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    copy = tmp_path / "src"
    shutil.copytree(root / "edge_agent", copy / "edge_agent", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(copy)]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = tmp_path.glob("maskwatch-*.whl")
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    ).stdout
    for part in (
        "edge_agent/models/classifier.tflite",
        "edge_agent/models/detector.tflite",
        "sample.mp4",
        "index.html",
    ):
        assert part in names
    assert "train/" not in names
    assert "export/" not in names
