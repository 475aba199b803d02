"""`python -m train keep`: a run's weights small enough to commit, and nothing lost where that fails."""

from __future__ import annotations

import errno
from pathlib import Path

import keras
import numpy as np
import pytest

from export.pipeline import load_classifier
from export.source import resolve
from train import files
from train.__main__ import main
from train.pipeline import RunResult


def test_kept_weights_are_small_and_export_reads_them_as_the_run(whole: RunResult, tmp_path: Path) -> None:
    assert main(["keep", str(whole.folder), str(tmp_path / "kept")]) == 0
    weights = tmp_path / "kept" / "classifier.weights.h5"
    assert sorted(path.name for path in weights.parent.iterdir()) == ["classifier.weights.h5", "model.json"]
    pictures = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.float32)
    run = keras.models.load_model(whole.folder / "model.keras", compile=False)
    for given in (weights, weights.parent):
        source = resolve(str(given))
        assert source.labels == ("with_mask", "without_mask", "mask_weared_incorrect")
        kept = load_classifier(source)
        assert kept.predict_on_batch(pictures) == pytest.approx(run.predict_on_batch(pictures), abs=5e-3)
    assert weights.stat().st_size < (whole.folder / "model.keras").stat().st_size


def test_what_cannot_be_kept_is_said_in_one_line(
    whole: RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def says(run: Path, folder: Path, *more: str) -> tuple[int, str]:
        status = main(["keep", str(run), str(folder), *more])
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train: ")]
        return status, line

    run, kept = tmp_path / "run", tmp_path / "kept"
    run.mkdir()
    (run / "average.weights.h5").write_bytes(b"")
    status, line = says(run, kept)
    assert (status, "python -m train.detector.release --run" in line) == (66, True)
    (run / "model.keras").write_bytes((whole.folder / "model.keras").read_bytes()[:-100])
    (run / "model.json").write_text('{"labels": ["a"], "kind": "../evil"}')
    assert says(run, kept) == (
        65,
        f"train: {run / 'model.json'}: its kind is '../evil'; it is one of classifier, detector",
    )
    (run / "model.json").write_text('{"labels": ["a"]')
    assert says(run, kept)[0] == 65
    (run / "model.json").write_text('{"labels": ["a"]}')
    status, line = says(run, kept)
    assert (status, "is damaged or cut off" in line) == (65, True)
    assert says(run, kept, "--version", "newest")[0] == 2
    assert says(run, run)[0] == 2
    assert not kept.exists()
    kept.mkdir()
    (kept / "detector.weights.h5").write_bytes(b"")
    assert says(run, kept) == (2, f"train: {kept} holds detector.weights.h5; give the run a folder of its own")


def test_a_damaged_record_of_a_detectors_training_leaves_the_weights_kept_before(
    whole: RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, kept = tmp_path / "run", tmp_path / "kept"
    run.mkdir()
    for name in ("model.keras", "model.json"):
        (run / name).write_bytes((whole.folder / name).read_bytes())
    (run / "detector.json").write_text('{"channels": 64}')
    assert main(["keep", str(run), str(kept)]) == 0
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    (run / "detector.json").write_text('{"channels": 6')
    assert main(["keep", str(run), str(kept), "--version", "2.0.0"]) == 65
    assert "detector.json is damaged" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before


def test_a_full_disk_leaves_the_weights_kept_before(
    whole: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(partial: Path, path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert main(["keep", str(whole.folder), str(tmp_path)]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(files, "replace", full)
    assert main(["keep", str(whole.folder), str(tmp_path), "--version", "2.0.0"]) == 74
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
