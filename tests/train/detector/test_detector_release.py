"""Kept weights become model.keras and model.json; the score is chosen on a split, and the record says which."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import cv2
import pytest

from edge_agent.errors import ModelError, UsageError
from train.detector import release
from train.detector.network import Extent, build_detector

ROOT = Path(__file__).parents[3]
WEIGHTS = ROOT / "train" / "detector" / "weights" / "detector.weights.h5"
VOC = """<annotation><object><name>without_mask</name><bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax>
<ymax>{3}</ymax></bndbox></object></annotation>"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A photograph of each set in train and in val, all a frame of the sample clip with its face labelled."""
    from train.detector.keras_detector import KerasDetector

    clip = cv2.VideoCapture(str(ROOT / "edge_agent" / "samples" / "sample.mp4"))
    clip.set(cv2.CAP_PROP_POS_FRAMES, 30)
    frame = clip.read()[1]
    clip.release()
    face = KerasDetector.open(WEIGHTS, 320, 256, 0.3, 0.45).detect(frame)[0].box
    box = [round(edge) for edge in (face.x, face.y, face.x + face.w, face.y + face.h)]
    rows = ["set,image,group,split"]
    for source in ("andrewmvd", "ilc2021"):
        for folder in ("images", "annotations"):
            (tmp_path / "data" / source / folder).mkdir(parents=True)
        for split in ("train", "val"):
            cv2.imwrite(str(tmp_path / "data" / source / "images" / f"{split}.jpg"), frame)
            (tmp_path / "data" / source / "annotations" / f"{split}.xml").write_text(VOC.format(*box))
            rows.append(f"{source},{split},{split},{split}")
    (tmp_path / "data" / "splits.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("learnt", "asked", "split"),
    [(["train"], [], "val"), (["train", "val"], ["--split", "val"], "val"), (["train", "val"], [], "train")],
)
def test_the_record_says_where_the_score_was_chosen(
    data: Path, tmp_path: Path, learnt: list[str], asked: list[str], split: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "detector.json").write_text(json.dumps({"channels": 64, "learnt_splits": learnt}))
    parser = argparse.ArgumentParser()
    release.add_arguments(parser)
    shutil.copy(WEIGHTS, run / "average.weights.h5")
    words = ["--run", str(run), "--input", "320x256", "--data", str(data)]
    assert release.run(parser.parse_args([*words, *asked, "--false-boxes", "2"])) == 0
    record = json.loads((run / "model.json").read_text())
    assert record["metrics"][f"{split}_recall_without_mask"] == 1.0
    assert record["metrics_n"][f"{split}_recall_without_mask"] == 2
    assert record["metrics"][f"{split}_false_boxes_a_photograph"] <= 2
    assert 0 <= record["score_threshold"] < 1
    wanted = f"the float network on {split} of andrewmvd and ilc2021"
    assert record["metrics_data"] == wanted + (", which it was trained on" if split in learnt else "")
    assert (run / "model.keras").stat().st_size > 500_000


def test_an_earlier_version_is_mixed_in_and_what_it_learnt_is_told(data: Path, tmp_path: Path) -> None:
    run, earlier = tmp_path / "run", tmp_path / "earlier"
    run.mkdir()
    earlier.mkdir()
    shutil.copy(WEIGHTS, earlier / "a.weights.h5")
    (earlier / "model.json").write_text('{"learnt_splits": ["train", "val"]}')
    (run / "average.weights.h5").write_bytes(WEIGHTS.read_bytes())
    parser = argparse.ArgumentParser()
    release.add_arguments(parser)
    words = ["--run", str(run), "--input", "320x256", "--data", str(data), "--int8", "balanced"]
    assert release.run(parser.parse_args([*words, "--mix", str(earlier / "a.weights.h5"), "--false-boxes", "2"])) == 0
    record = json.loads((run / "model.json").read_text())
    assert record["learnt_splits"] == ["train", "val"]
    assert (record["mix_share"], record["int8_recipe"]) == (0.4, "balanced")
    assert record["mix_sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert record["metrics"]["train_recall_without_mask"] == 1.0  # a mean of the same weights finds the same


def test_kept_weights_that_are_released_again_keep_how_they_came_about(tmp_path: Path) -> None:
    kept, run = tmp_path / "kept", tmp_path / "run"
    kept.mkdir()
    run.mkdir()
    shutil.copy(WEIGHTS, kept / "detector.weights.h5")
    (kept / "model.json").write_text('{"box_scale": 0.5, "mix_share": 0.3, "mix_sha256": "ab", "version": "1.0.0"}')
    (kept / "detector.json").write_text('{"channels": 64, "learnt_splits": ["train"], "seed": 7}')
    (run / "detector.json").write_text('{"channels": 8}')  # of what ran there before
    parser = argparse.ArgumentParser()
    release.add_arguments(parser)
    words = ["--weights", str(kept / "detector.weights.h5"), "--run", str(run), "--input", "320x256", "--score", "0.5"]
    assert release.run(parser.parse_args([*words, "--box-scale", "1.5"])) == 0
    record = json.loads((run / "model.json").read_text())
    assert (record["box_scale"], record["mix_share"], record["mix_sha256"]) == (0.75, 0.3, "ab")
    assert "version" not in record
    assert json.loads((run / "detector.json").read_text())["seed"] == 7  # which `keep` takes along


def test_a_run_with_a_network_of_its_own_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "average.weights.h5").write_bytes(b"of another")
    parser = argparse.ArgumentParser()
    release.add_arguments(parser)
    with pytest.raises(UsageError, match="holds a network of its own; give --weights a --run folder that is free"):
        release.run(parser.parse_args(["--run", str(tmp_path), "--weights", str(WEIGHTS)]))
    assert [path.name for path in tmp_path.iterdir()] == ["average.weights.h5"]


def test_a_version_of_another_size_is_not_mixed_in(tmp_path: Path) -> None:
    other = tmp_path / "other.weights.h5"
    build_detector(extent=Extent(1)).save_weights(other)
    parser = argparse.ArgumentParser()
    release.add_arguments(parser)
    words = ["--run", str(tmp_path / "run"), "--weights", str(WEIGHTS), "--mix", str(other)]
    with pytest.raises(ModelError, match=r"is of another size than .*; give the run's start.weights.h5"):
        release.run(parser.parse_args(words))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--input", "99968x99968"], "multiples of 32, from 64 to 4096"),
        (["--input", "96x80"], "multiples of 32"),
        (["--input", "320x256", "--split", "val", "--false-boxes", "900"], "no score makes as many on val; give less"),
    ],
)
def test_what_gives_no_model_file_is_refused(data: Path, tmp_path: Path, words: list[str], error: str) -> None:
    parser = argparse.ArgumentParser()
    release.add_arguments(parser)
    always = ["--run", str(tmp_path / "run"), "--weights", str(WEIGHTS), "--data", str(data)]
    with pytest.raises(UsageError, match=error):
        release.run(parser.parse_args([*always, *words]))
    assert not (tmp_path / "run").exists()


def test_ranges_that_export_does_not_know_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    release.add_arguments(parser)
    words = ["--run", str(tmp_path), "--weights", str(WEIGHTS), "--int8", "evened"]
    with pytest.raises(UsageError, match="--int8 is 'evened'; give one of plain, balanced, float-head"):
        release.run(parser.parse_args(words))
    assert list(tmp_path.iterdir()) == []
