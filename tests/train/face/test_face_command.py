"""`python -m train train-face` on a small classifier, and its way to the device."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.classify import open_classifier
from edge_agent.config import ClassifierConfig, DetectorConfig
from edge_agent.detect import open_detector
from edge_agent.errors import MaskwatchError
from export import convert
from export.__main__ import main as export
from export.faces import gate_faces
from export.pipeline import load_classifier
from export.source import resolve
from train.__main__ import main
from train.data import load as load_data
from train.people.bank import write_bank
from train.people.cutout import Cutout
from train.pipeline import RunResult

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "edge_agent" / "samples" / "sample.mp4"
CONFIG = 'sources = ["own"]\nepochs = 2\nviews = 2\nlayer = "block_2_relu"\nfilters = 8\nbatch = 4\n'

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of the sample, labelled by the shipped detector, and a folder `people` of drawn fronts and backs."""
    root, detector = tmp_path_factory.mktemp("face"), open_detector(DetectorConfig())
    for folder in ("images", "labels"):
        (root / "data" / "own" / folder).mkdir(parents=True)
    rows, capture = ["set,image,group,split"], cv2.VideoCapture(str(SAMPLE))
    while len(rows) < 9:
        for _ in range(10):
            ok, frame = capture.read()
            assert ok, "the sample ends before eight frames with a face"
        found = detector.detect(frame)
        if found:
            number, (height, width) = len(rows), frame.shape[:2]
            cv2.imwrite(str(root / f"data/own/images/{number}.jpg"), frame)
            boxes = [((f.box.x + f.box.w / 2) / width, (f.box.y + f.box.h / 2) / height, f.box) for f in found]
            lines = [f"1 {x} {y} {box.w / width} {box.h / height}" for x, y, box in boxes]
            (root / f"data/own/labels/{number}.txt").write_text("\n".join(lines) + "\n")
            rows.append(f"own,{number},{number},{'val' if number % 4 == 0 else 'train'}")
    (root / "data/splits.csv").write_text("\n".join(rows) + "\n")
    person = np.full((96, 96, 4), 200, np.uint8), np.array([20, 20, 60, 70], np.float32)
    write_bank(root / "people", [Cutout(*person, *pose) for pose in ((0.9, 0.7), (-0.9, 0.0)) for _ in range(8)])
    (root / "face.toml").write_text(CONFIG)
    return root


def words(photographs: Path, folder: Path) -> list[str]:
    options = {"config": "face.toml", "data": "data", "people": "people", "cache": "cache"}
    return ["train-face", str(folder), *(w for o, n in options.items() for w in (f"--{o}", str(photographs / n)))]


@pytest.fixture(scope="session")
def branched(photographs: Path, whole: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose classifier has a branch."""
    folder = tmp_path_factory.mktemp("branched") / "run"
    shutil.copytree(whole.folder, folder)
    assert main(words(photographs, folder)) == 0
    return folder


def test_the_record_names_the_branch_and_what_the_classifier_says_of_masks_stays(
    branched: Path, whole: RunResult
) -> None:
    entry = json.loads((branched / "model.json").read_text())["face"]
    assert 0 <= entry["none_below"] < entry["sure_from"] <= 1
    assert entry["metrics"]["faces"] >= 2
    pictures = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.float32)
    before = load_classifier(resolve(str(whole.folder))).predict_on_batch(pictures)
    probabilities, faces = load_classifier(resolve(str(branched))).predict_on_batch(pictures)
    np.testing.assert_allclose(probabilities, before, atol=1e-5)
    assert faces.shape == (8, 1)


def test_figures_and_weights_go_to_the_mlflow_run_of_the_folder(
    branched: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = client.create_run(client.create_experiment("masks", artifact_location=str(tmp_path / "artifacts")))
    folder = shutil.copytree(branched, tmp_path / "run")
    (folder / "mlflow_run_id").write_text(run.info.run_id)
    assert main(words(photographs, folder)) == 0
    entry = json.loads((folder / "model.json").read_text())["face"]
    assert client.get_run(run.info.run_id).data.metrics["face_none_below"] == entry["none_below"]
    assert [item.path for item in client.list_artifacts(run.info.run_id, "model")] == [
        "model/face.npz",
        "model/model.json",
    ]


def test_a_kept_run_has_its_branch_and_the_device_says_what_keras_says(
    branched: Path, drawn_data: Path, tmp_path: Path
) -> None:
    kept, out = tmp_path / "kept", tmp_path / "out"
    assert main(["keep", str(branched), str(kept)]) == 0
    assert sorted(path.name for path in kept.iterdir()) == ["classifier.weights.h5", "face.npz", "model.json"]
    options = ["--data", str(drawn_data), "--out", str(out), "--name", "own", "--no-mlflow", "--claim", "litert"]
    assert export([str(kept), *options, "--variant", "float32"]) == 0
    gates = json.loads((out / "export.json").read_text())["variants"][0]["gates"]["gates"]
    assert "a face, or none, as Keras says" in [gate["name"] for gate in gates]
    classifier = open_classifier(ClassifierConfig(model=out / "own-float32.tflite"))
    part = classifier.manifest.classifier.face
    crops = gate_faces(load_data(drawn_data), 32, classifier.crop_margin, 30).pictures
    raw = convert.predict(load_classifier(resolve(str(kept))), crops)[1][:, 0]
    wanted = np.clip((raw - part.none_below) / (part.sure_from - part.none_below), 0, 1)
    np.testing.assert_allclose(classifier.classify(crops).faces, wanted, atol=2e-3)


def test_the_boxes_of_a_split_are_counted_by_what_is_said_of_them(
    photographs: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "evaluations.jsonl"
    data = ["--data", str(photographs / "data"), "--sources", "own", "--split", "val", "--log", str(log)]
    assert main(["evaluate-face", *data]) == 0
    out = capsys.readouterr().out
    counts = json.loads(log.read_text())["boxes"]["without_mask"]
    assert sum(counts.values()) >= 2
    assert f"| without_mask | {sum(counts.values())} | {counts['none']} |" in out


def test_a_branch_that_cannot_tell_is_kept_with_a_warning_and_export_warns_too(
    photographs: Path, whole: RunResult, drawn_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One face of val has lost its label and was looked at: nothing, it says. No branch tells it from the other."""
    data, folder = shutil.copytree(photographs / "data", tmp_path / "data"), tmp_path / "run"
    (data / "own/labels/4.txt").write_text("")
    boxes = [face.box for face in open_detector(DetectorConfig()).detect(cv2.imread(str(data / "own/images/4.jpg")))]
    rows = [f"own/4,{box.x},{box.y},{box.x + box.w},{box.y + box.h},nothing\n" for box in boxes]
    (tmp_path / "looked_at.csv").write_text(f"photograph,left,top,right,bottom,is\n{''.join(rows)}")
    (tmp_path / "face.toml").write_text(f'{CONFIG}looked_at = "looked_at.csv"\n')
    given = words(photographs, shutil.copytree(whole.folder, folder))
    for option, path in (("--data", data), ("--config", tmp_path / "face.toml"), ("--cache", tmp_path / "cache")):
        given[given.index(option) + 1] = str(path)
    assert main(given) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train: warning: ")]
    assert re.search(
        r"the face branch takes \d of [1-9] boxes without a face and \d of \d faces of val for none: ", line
    )
    assert json.loads((folder / "model.json").read_text())["face"]["metrics"]["boxes_without_face_half_score"] >= 1
    options = ["--data", str(drawn_data), "--out", str(tmp_path / "out"), "--no-mlflow", "--claim", "litert"]
    assert export([str(folder), *options, "--variant", "float32"]) == 0
    said = line.removeprefix("train: ").rpartition("; ")[0]
    assert f"export: {said}; run train-face with more photographs" in capsys.readouterr().err


def test_a_photograph_that_is_not_whole_is_named_left_out_and_counted(
    photographs: Path, whole: RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, log = shutil.copytree(photographs / "data", tmp_path / "data"), tmp_path / "evaluations.jsonl"
    half, empty, learnt = (data / f"own/images/{number}.jpg" for number in (4, 9, 1))
    for path in (half, learnt):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    empty.write_bytes(b"")
    (data / "own/labels/9.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    with (data / "splits.csv").open("a") as table:
        table.write("own,9,9,val\n")
    assert main(["evaluate-face", "--data", str(data), "--sources", "own", "--split", "val", "--log", str(log)]) == 0
    said = capsys.readouterr()
    assert "val of own: 1 photographs, 2 damaged and left out, score" in said.out
    named = [line.split(" ")[1] for line in said.err.splitlines() if line.startswith("train: ")]
    assert named == [str(half), str(empty)]
    assert json.loads(log.read_text())["left_out"] == 2
    given = words(photographs, shutil.copytree(whole.folder, tmp_path / "run"))
    given[given.index("--data") + 1], given[given.index("--cache") + 1] = str(data), str(tmp_path / "cache")
    assert main(given) == 0
    said = capsys.readouterr()
    assert "train: looking at 5 photographs, 1 damaged and left out" in said.out
    assert f"train: {learnt} cannot be decoded, or only in part; replace or remove it; it is left out" in said.err


def test_what_cannot_be_trained_or_kept_is_said_in_one_line(
    branched: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def says(*given: str) -> tuple[int, str]:
        status = main(list(given))
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train: ")]
        return status, line

    assert says(*words(photographs, tmp_path / "absent")) == (
        66,
        f"train: {tmp_path / 'absent' / 'model.json'} is not there; give the folder of a trained classifier",
    )
    (tmp_path / "bad.toml").write_text("epochs = 0\n")
    status, line = says("train-face", str(branched), "--config", str(tmp_path / "bad.toml"))
    assert (status, "epochs: Input should be greater than or equal to 1" in line) == (78, True)
    (tmp_path / "layer.toml").write_text(CONFIG.replace("block_2_relu", "block_99"))
    status, line = says(*words(photographs, branched), "--config", str(tmp_path / "layer.toml"))
    assert (status, "no backbone with a layer 'block_99'" in line) == (78, True)
    (tmp_path / "pool.toml").write_text(CONFIG.replace("block_2_relu", "pool"))
    status, line = says(*words(photographs, branched), "--config", str(tmp_path / "pool.toml"))
    assert (status, "the layer 'pool' of this classifier gives no map of rows and columns" in line) == (78, True)
    assert says("evaluate-face", "--score", "2") == (2, "train: --score is 2.0; give a number between 0 and 1")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "model.json").write_text('{"labels": ["a", "b"], "input_size_px": 32, "crop_margin": null}')
    assert says(*words(photographs, bare)) == (
        65,
        f"train: {bare / 'model.json'} lacks crop_margin; give a trained classifier's folder",
    )
    damaged = shutil.copytree(branched, tmp_path / "damaged")
    (damaged / "face.npz").write_bytes((damaged / "face.npz").read_bytes()[:-40])
    status, line = says("keep", str(damaged), str(tmp_path / "kept"))
    assert (status, "face.npz is not what model.json beside it belongs to" in line) == (65, True)
    (damaged / "face.npz").unlink()
    assert says("keep", str(damaged), str(tmp_path / "kept"))[0] == 66
    assert not (tmp_path / "kept").exists()


def test_a_branch_is_not_lost_where_a_run_without_one_is_kept(
    branched: Path, whole: RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    assert main(["keep", str(branched), str(kept)]) == 0
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    assert main(["keep", str(whole.folder), str(kept)]) == 2
    assert "has a face branch" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["none"], "its face is ['none'], no table"),
        (
            {"layer": None},
            "{folder}/model.json: its face.layer is 'None', and its network has no such map; face",
        ),
        ({"layer": "block_2_rule"}, " channels, which block_2_relu, "),
        (
            {"layer": "block_1_relu"},
            "is 'block_1_relu', whose map has {half} channels; face.npz reads {all} channels",
        ),
        ({"layer": "pool"}, "its face.layer is 'pool', and its network has no such map"),
        ({"filters": 1e400}, "is of another branch"),
        ({"filters": 12}, "is of another branch"),
    ],
    ids=["list", "no layer", "misspelt layer", "another layer", "no map", "infinite", "other size"],
)
def test_a_strange_entry_of_the_record_is_said(
    branched: Path, tmp_path: Path, change: list[str] | dict[str, object], says: str
) -> None:
    folder = shutil.copytree(branched, tmp_path / "run")
    record = json.loads((folder / "model.json").read_text())
    record["face"] = record["face"] | change if isinstance(change, dict) else change
    (folder / "model.json").write_text(json.dumps(record))
    channels = np.load(folder / "face.npz")["00"].shape[2]
    says = says.format(folder=folder, half=channels // 2, all=channels)
    with pytest.raises(MaskwatchError, match=re.escape(says)) as raised:
        load_classifier(resolve(str(folder)))
    assert raised.value.exit_status == 65
    assert "\n" not in str(raised.value)
