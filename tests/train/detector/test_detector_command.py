"""`python -m train train-detector` as a process: a tiny real run, gone on with, and a clean end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest

from train.__main__ import main
from train.detector.cache import Cache
from train.detector.keras_detector import KerasDetector
from train.detector.network import extent_in
from train.detector.things import Things
from train.people.bank import Bank, write_bank
from train.people.cutout import Cutout

ROOT = Path(__file__).parents[3]
WEIGHTS = ROOT / "train" / "detector" / "weights" / "detector.weights.h5"
CONFIG = """
steps = {steps}
rate = 4e-3
relative = true
sure_iou = 0.75
stem_up_to = ""
sources = ["own"]
size_px = 96
batch = 2
loader_threads = 2
looked_at = "looked_at.csv"
report_every = 2

[recipe]
hard = 2.0
people = {people}
things = {things}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two photographs of noise, a face in the middle of each."""
    for folder in ("images", "labels"):
        (tmp_path / "data" / "own" / folder).mkdir(parents=True)
    rows = ["set,image,group,split"]
    for number in range(2):
        picture = np.random.default_rng(number).integers(0, 255, (120, 160, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"data/own/images/{number}.jpg"), picture)
        (tmp_path / f"data/own/labels/{number}.txt").write_text("1 0.5 0.5 0.3 0.4\n")
        rows.append(f"own,{number},{number},train")
    (tmp_path / "data/splits.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "looked_at.csv").write_text("photograph,left,top,right,bottom,is\nown/0,2,2,20,20,nothing\n")
    return tmp_path / "data"


def train(
    data: Path,
    steps: int,
    more: str = "",
    *options: str,
    people: float = 0.0,
    things: float = 0.0,
    sources: str = '["own"]',
    store: str = "",
) -> subprocess.CompletedProcess[str]:
    folder = data.parent
    (folder / "tiny.toml").write_text(
        more + CONFIG.format(steps=steps, people=people, things=things).replace('["own"]', sources)
    )
    words = ["--config", folder / "tiny.toml", "--data", data, "--start", WEIGHTS, "--run", folder / "run", *options]
    command = [sys.executable, "-m", "train", "train-detector", *words, "--cache", folder / "cache"]
    command += [] if store else ["--no-mlflow"]
    env = os.environ | {"MLFLOW_TRACKING_URI": store, "PYTHONPATH": str(ROOT)}
    command = [str(word) for word in command]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, env=env, check=False)


def test_a_tiny_run_ends_well_and_goes_on(data: Path) -> None:
    first = train(data, 2)
    assert first.returncode == 0, first.stderr[-2000:]
    assert "start, step 0" in first.stdout
    moved = data.parent / "moved.weights.h5"
    shutil.copy(WEIGHTS, moved)
    second = train(data, 4, "", "--start", str(moved))
    assert second.returncode == 0, second.stderr[-2000:]
    assert "resumed at 2" in second.stdout
    assert "step 4 " in second.stdout
    told = json.loads((data.parent / "run/detector.json").read_text())
    assert (told["steps"], told["pictures"], told["relative"]) == (4, 8, True)
    assert (data.parent / "run/average.weights.h5").stat().st_size > 500_000


def test_a_run_whose_store_was_deleted_goes_on_as_a_new_one(data: Path) -> None:
    database = data.parent / "mlflow.db"
    store = f"sqlite:///{database}"
    assert train(data, 2, store=store).returncode == 0
    kept = data.parent / "run/mlflow_run_id"
    first = kept.read_text()
    database.unlink()
    again = train(data, 4, store=store)
    assert again.returncode == 0, again.stderr[-2000:]
    assert f"train: MLflow does not know the run {first}; it goes on as a new one" in again.stderr
    client = mlflow.MlflowClient(store)
    run = client.get_run(kept.read_text())
    assert (run.info.status, run.data.params["steps"]) == ("FINISHED", "4")
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"average.weights.h5", "detector.json"}


def test_a_store_that_does_not_answer_is_said_before_anything_dear(data: Path) -> None:
    done = train(data, 2, store="http://127.0.0.1:9")
    assert done.returncode == 69
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("train: no MLflow server answers at http://127.0.0.1:9")
    assert not (data.parent / "cache").exists()


def test_a_network_is_not_made_shallower_than_what_it_starts_from(data: Path) -> None:
    done = train(data, 2, "head_blocks = 1\n")
    assert done.returncode == 78, done.stderr[-2000:]
    assert f"head_blocks is 1, but {WEIGHTS} has 3" in done.stderr


def test_a_wider_network_goes_on_from_a_narrower_one(data: Path) -> None:
    wider = "filters = {block_3_project = 24, block_4_project = 24, block_5_project = 24}\n"
    done = train(data, 2, wider)
    assert done.returncode == 0, done.stderr[-2000:]
    run = data.parent / "run"
    assert extent_in(run / "average.weights.h5") == extent_in(run / "start.weights.h5")
    assert dict(extent_in(run / "average.weights.h5").filters) == tomllib.loads(wider)["filters"]
    begun, learnt = (KerasDetector.open(file, 160, 128, 0.01, 0.45) for file in (WEIGHTS, run / "start.weights.h5"))
    picture = cv2.imread(str(data / "own/images/0.jpg"))
    assert [face.score for face in learnt.detect(picture)] == pytest.approx(
        [face.score for face in begun.detect(picture)], abs=1e-4
    )


@pytest.mark.parametrize(
    ("more", "says"), [("believe_teacher = 0.75\n", "believe_teacher is set"), ("#crops\n", "crops is a source")]
)
def test_what_needs_a_teacher_asks_for_one(
    data: Path, capsys: pytest.CaptureFixture[str], more: str, says: str
) -> None:
    text = more + CONFIG.format(steps=2, people=0.0, things=0.0)
    (data.parent / "tiny.toml").write_text(text.replace('["own"]', '["own", "crops"]') if "crops" in more else text)
    assert main(["train-detector", "--config", str(data.parent / "tiny.toml"), "--start", str(WEIGHTS)]) == 78
    assert f"{says}, which needs a teacher; give a YuNet .onnx as --teacher" in capsys.readouterr().err


def test_a_run_takes_val_and_drawn_people_too(data: Path) -> None:
    rows = (data / "splits.csv").read_text()
    (data / "splits.csv").write_text(rows.replace("own,1,1,train", "own,1,1,val"))
    pixels = np.full((64, 64, 4), 255, np.uint8)
    write_bank(data.parent / "people", [Cutout(pixels, np.array([8, 8, 40, 40], np.float32), 0.9, 0.6)])
    more = 'splits = ["train", "val"]\n'
    asked = train(data, 2, more, people=1.0)
    assert asked.returncode == 78, asked.stderr[-2000:]
    assert "recipe.people needs drawn people; give what draw-people made as --people" in asked.stderr
    done = train(data, 2, more, "--people", str(data.parent / "people"), people=1.0)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads((data.parent / "run/detector.json").read_text())
    assert told["splits"] == told["learnt_splits"] == ["train", "val"]
    assert told["people_sha256"] == Bank(data.parent / "people").sha256
    assert told["epochs"] == 2.0  # four pictures of two photographs


def test_people_that_no_window_would_show_are_refused(data: Path) -> None:
    done = train(data, 2, "", "--people", str(data))
    assert done.returncode == 78, done.stderr[-2000:]
    assert "--people is given, but recipe.people" in done.stderr


def test_a_run_puts_things_into_its_windows(data: Path) -> None:
    thing = np.zeros((40, 40, 4), np.uint8)
    thing[5:30, 5:30] = 255
    cv2.imwrite(str(data.parent / "thing.png"), thing)
    options = "--things", str(data.parent)
    refused = train(data, 2, "", *options)
    assert refused.returncode == 78, refused.stderr[-2000:]
    assert "--things is given, but recipe.things in" in refused.stderr
    done = train(data, 2, "", *options, things=1.0)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((data.parent / "run/detector.json").read_text())["things_sha256"] == Things(data.parent).sha256


def test_a_run_takes_a_folder_of_photographs_without_a_face(data: Path) -> None:
    folder = data.parent / "animals"
    (folder / "more").mkdir(parents=True)
    for name in ("a.jpg", "more/b.PNG"):
        cv2.imwrite(str(folder / name), np.full((120, 160, 3), 90, np.uint8))
    options = "--faceless", str(folder)
    refused = train(data, 2, "", *options)
    assert refused.returncode == 78, refused.stderr[-2000:]
    assert "does not have 'negatives'; add it" in refused.stderr
    (data / "negatives").mkdir()
    shutil.copy(folder / "a.jpg", data / "negatives/c.jpg")
    with (data / "splits.csv").open("a") as table:
        table.write("negatives,c,9,train\n")
    done = train(data, 2, "", *options, sources='["own", "negatives"]')
    assert done.returncode == 0, done.stderr[-2000:]
    assert Cache(data.parent / "cache").sources == ["own", "own", "negatives", "negatives", "negatives"]
    (folder / "a.jpg").unlink()
    other = train(data, 4, "", *options, sources='["own", "negatives"]')
    assert other.returncode == 78, other.stderr[-2000:]
    assert "faceless_sha256" in other.stderr


@pytest.mark.parametrize(("folder", "status", "says"), [("none", 66, "none is not there"), ("", 78, "has no .jpg")])
def test_a_folder_without_photographs_is_refused(data: Path, folder: str, status: int, says: str) -> None:
    (data.parent / "empty").mkdir()
    with (data / "splits.csv").open("a") as table:
        table.write("negatives,c,9,train\n")
    options = "--faceless", str(data.parent / "empty" / folder)
    done = train(data, 2, "", *options, sources='["own", "negatives"]')
    assert done.returncode == status, done.stderr[-2000:]
    assert says in done.stderr


def test_test_is_never_trained_on(data: Path) -> None:
    done = train(data, 2, 'splits = ["train", "test"]\n')
    assert done.returncode == 78, done.stderr[-2000:]
    assert "splits" in done.stderr
    assert "'test'" in done.stderr


def test_a_run_that_never_began_cannot_stop_here(data: Path) -> None:
    done = train(data, 2, "", "--stop-here")
    assert done.returncode == 66
    assert "has no checkpoint to stop at" in done.stderr
    assert not (data.parent / "run").exists()


def test_a_table_of_boxes_that_is_not_there_is_one_line(data: Path) -> None:
    (data.parent / "looked_at.csv").unlink()
    done = train(data, 2)
    assert done.returncode == 66
    assert "looked_at.csv is not there" in done.stderr
    assert "Traceback" not in done.stderr
