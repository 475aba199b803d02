"""Several devices and several processes reach the loss of one; bad settings are named."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runs_support import draw_dataset

from edge_agent.errors import ConfigError
from train import distribute
from train.distribute import ADDRESSES, PROCESS, PROCESSES, Group, Place

ROOT = Path(__file__).resolve().parents[3]
# Sums in another order: float32 has 24 bits, and the optimizer carries the difference on. Measured: 3e-7 and less.
TOLERANCE = 1e-5
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax: pip install jax")


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pooled features of 640 faces in three classes that a head can tell apart, mostly."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 640)
    x = rng.normal(size=(640, 96)) + 0.4 * rng.normal(size=(3, 96))[y]
    path = tmp_path_factory.mktemp("features") / "features.npz"
    np.savez(path, x=x.astype(np.float16), y=y, labels=np.array(["a", "b", "c"]))
    return path


def start(features: Path, backend: str, devices: int = 1, group: dict[str, str] | None = None) -> subprocess.Popen[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("KERAS", "XLA", "JAX"))}
    environ = clean | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", **(group or {})}
    words = [sys.executable, "-m", "train.distribute_head", "train", str(features), "--epochs", "3", "--logical"]
    words += ["--devices", str(devices)]
    return subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> dict[str, object]:
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err[-2000:]
    found: dict[str, object] = json.loads(out.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def alone(features: Path) -> dict[str, object]:
    """One process on one device."""
    return answer(start(features, "tensorflow"))


@pytest.mark.timeout(2000)
def test_two_mirrored_devices_reach_the_loss_of_one(features: Path, alone: dict[str, object]) -> None:
    two = answer(start(features, "tensorflow", devices=2))
    assert two["devices"] == 2
    assert two["loss"] == pytest.approx(alone["loss"], abs=TOLERANCE)
    assert two["weights"] == pytest.approx(alone["weights"], rel=TOLERANCE)


@needs_jax
@pytest.mark.timeout(2000)
def test_two_jax_processes_reach_the_loss_of_one(features: Path) -> None:
    from postgres_support import free_port

    single = answer(start(features, "jax"))
    address = f"127.0.0.1:{free_port()}"
    groups = [{ADDRESSES: address, PROCESSES: "2", PROCESS: str(number)} for number in (0, 1)]
    both = [answer(process) for process in [start(features, "jax", group=group) for group in groups]]
    assert [found["process"] for found in both] == [0, 1]
    assert [found["devices"] for found in both] == [2, 2]
    for found in both:
        assert found["loss"] == pytest.approx(single["loss"], abs=TOLERANCE)
        assert found["weights"] == pytest.approx(single["weights"], rel=TOLERANCE)


def test_features_of_photographs_are_pooled_whatever_the_phases_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from train.distribute_head import main

    config, made = draw_dataset(tmp_path, pictures=12), tmp_path / "features.npz"
    assert "open_layers = -1" in config.read_text()
    assert main(["features", "--config", str(config), str(made)]) == 0
    with np.load(made) as book:
        assert book["x"].ndim == book["val_x"].ndim == 2
        assert len(book["x"]) == len(book["y"]) == 48
    assert main(["train", str(made), "--epochs", "2", "--batch-size", "16"]) == 0
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])["loss"]) == 2


def test_several_processes_on_tensorflow_are_refused(features: Path) -> None:
    group = {ADDRESSES: "127.0.0.1:1", PROCESSES: "2", PROCESS: "0"}
    process = start(features, "tensorflow", group=group)
    _, err = process.communicate(timeout=900)
    assert process.returncode == 78
    assert "several processes need KERAS_BACKEND=jax" in err


def test_features_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from train.distribute_head import main

    assert main(["train", str(tmp_path / "none.npz")]) == 66
    assert "make them: python -m train.distribute_head features" in capsys.readouterr().err


def test_a_file_that_is_cut_short_is_named(features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from train.distribute_head import main

    (tmp_path / "half.npz").write_bytes(features.read_bytes()[:9000])
    assert main(["train", str(tmp_path / "half.npz")]) == 65
    assert "holds no features" in capsys.readouterr().err


def test_several_devices_under_jax_are_refused_and_not_passed_over(
    features: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    from train.distribute_head import main

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert main(["train", str(features), "--devices", "2"]) == 78
    assert "several local devices use TensorFlow; the backend is jax" in capsys.readouterr().err


def test_processes_share_a_batch_without_overlap_and_without_gap() -> None:
    order = np.random.default_rng(0).permutation(100).astype(np.int64)
    for count in (1, 2, 4):
        shares = [distribute.rows_of(2, 20, order, Place(process, count)) for process in range(count)]
        assert sorted(np.concatenate(shares).tolist()) == sorted(order[40:60].tolist())


def test_a_batch_that_devices_cannot_share_is_refused() -> None:
    x, y = np.zeros((64, 2)), np.zeros(64)
    with pytest.raises(ConfigError, match="give a multiple"):
        distribute.shared_batches(x, y, 32, Place(0, 1, 3), seed=0)
    with pytest.raises(ConfigError, match="give a multiple"):
        distribute.shared_batches(x, y, 0, Place(), seed=0)
    with pytest.raises(ConfigError, match="smaller batch size"):
        distribute.shared_batches(x, y, 128, Place(), seed=0)


def test_the_environment_of_a_group_is_read() -> None:
    assert distribute.group({}) is None
    given = {ADDRESSES: "a:1234,b:1234", PROCESSES: "2", PROCESS: "1"}
    assert distribute.group(given) == Group("a:1234", 2, 1)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({PROCESSES: "2"}, "several processes need all three"),
        ({ADDRESSES: "a:1", PROCESSES: "two", PROCESS: "0"}, "whole numbers"),
        ({ADDRESSES: "a:1", PROCESSES: "2", PROCESS: "2"}, "give 0 to 1"),
        ({ADDRESSES: "a", PROCESSES: "2", PROCESS: "0"}, "give HOST:PORT"),
    ],
)
def test_an_environment_that_makes_no_group_is_named(given: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        distribute.group(given)
