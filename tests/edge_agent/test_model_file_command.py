"""`edge-agent models inspect` and `verify`, as a technician calls them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge_agent.classify import SHIPPED
from edge_agent.cli import main
from edge_agent.detect import SHIPPED as SHIPPED_DETECTOR
from edge_agent.model_file import load, pack


def test_inspect_names_labels_size_and_hash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "inspect", str(SHIPPED)]) == 0
    out = capsys.readouterr().out
    assert "with_mask, without_mask, mask_weared_incorrect" in out
    assert load(SHIPPED).sha256 in out


def test_inspect_as_json_gives_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "inspect", "--json", str(SHIPPED)]) == 0
    found = json.loads(capsys.readouterr().out)
    with zipfile.ZipFile(SHIPPED) as archive:
        assert found["manifest"] == json.loads(archive.read("manifest.json"))


def test_verify_runs_the_golden_inputs_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify", "--json", "--threads", "2", str(SHIPPED)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["threads"] == 2
    assert found["golden_inputs"] >= 32
    assert found["largest_difference"] <= load(SHIPPED).manifest.golden.largest_difference


def test_a_damaged_file_is_status_65_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(SHIPPED.read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "damaged.tflite"
    path.write_bytes(bytes(data))
    assert main(["models", "verify", str(path)]) == 65
    error = capsys.readouterr().err.strip()
    assert "copy it again" in error
    assert len(error.splitlines()) == 1


def test_a_missing_file_is_status_66(tmp_path: Path) -> None:
    assert main(["models", "inspect", str(tmp_path / "none.tflite")]) == 66


def test_a_flatbuffer_made_to_harm_is_refused_and_does_not_bring_verify_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = load(SHIPPED)
    for seed in range(2):
        rubbish = bytearray(sound.flatbuffer)
        for at in np.random.default_rng(seed).integers(8, len(rubbish), 20_000):
            rubbish[at] ^= 0x55
        path = tmp_path / f"rubbish{seed}.tflite"
        path.write_bytes(pack(bytes(rubbish), sound.manifest, sound.golden))
        assert main(["models", "verify", str(path)]) == 65
        assert "Traceback" not in capsys.readouterr().err


def test_a_decoding_that_this_agent_does_not_know_is_not_sound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = load(SHIPPED_DETECTOR)
    assert sound.manifest.detector is not None
    part = sound.manifest.detector.model_copy(update={"decode": "anchors"})
    path = tmp_path / "detector.tflite"
    path.write_bytes(pack(sound.flatbuffer, sound.manifest.model_copy(update={"detector": part}), sound.golden))
    assert main(["models", "verify", str(path)]) == 65
    assert "wants decoding 'anchors', this agent knows 'centre-log-size'" in capsys.readouterr().err


@pytest.mark.parametrize("threads", ["0", "-1", "65"])
def test_a_number_of_threads_out_of_bounds_is_wrong_usage(threads: str) -> None:
    assert main(["models", "verify", "--threads", threads, str(SHIPPED)]) == 2
