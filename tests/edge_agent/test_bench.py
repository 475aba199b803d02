"""`edge-agent bench`: percentiles over threads, as a table and as JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edge_agent.bench import device, measure
from edge_agent.cli import main


class Clock:
    """A clock that a stage moves on."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.calls = 0

    def __call__(self) -> float:
        return self.now_s

    def work(self) -> None:
        self.calls += 1
        self.now_s += 0.001 * self.calls


def test_percentiles_are_of_the_timed_runs_alone() -> None:
    clock = Clock()
    row = measure("stage", 2, clock.work, 100, clock)
    assert clock.calls == 105
    assert row.n == 100
    assert row.least_ms == pytest.approx(6)
    assert row.p50_ms == pytest.approx(55.5)
    assert row.p99_ms == pytest.approx(104.01)


def test_the_report_as_json_has_each_stage_for_each_number_of_threads(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "--json", "--threads", "1,2", "--repeats", "3", "--no-detector", "--size", "320x240"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert {(s["stage"], s["threads"]) for s in report["stages"]} >= {("classify", 1), ("classify", 2), ("crop", 1)}
    assert len(report["models"]["classifier"]["sha256"]) == 64
    assert report["device"]["cores"] >= 1
    assert report["device"]["runtime"].split()[0] in ("litert", "tflite-runtime")


def test_the_table_names_the_device_and_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--threads", "1", "--repeats", "2", "--no-detector", "--size", "320x240"]) == 0
    out = capsys.readouterr().out
    assert "classifier: " in out
    assert "p95" in out


@pytest.mark.shared_data
def test_a_yunet_of_the_users_own_is_named_with_the_hash_of_its_file(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shared / "models" / "yunet_n.onnx"
    config = tmp_path / "agent.toml"
    config.write_text(f"[detector]\nkind = 'yunet'\nmodel = '{file}'\n")
    assert main(["bench", "--json", "--config", str(config), "--threads", "1", "--repeats", "1"]) == 0
    found = json.loads(capsys.readouterr().out)["models"]["detector"]
    assert (found["name"], found["sha256"]) == ("yunet", hashlib.sha256(file.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--threads", "0"],
        ["--threads", "x"],
        ["--size", "9"],
        ["--repeats", "0"],
        ["--repeats", "99999999999999"],
        ["--faces", "0"],
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_temperature_and_clock_are_read_where_linux_has_them(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("48312\n")
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"Raspberry Pi 5 Model B\0")
    found = device(tmp_path)
    assert found["temperature_c"] == pytest.approx(48.312)
    assert found["cpu"] == "Raspberry Pi 5 Model B"
    assert found["clock_mhz"] is None
