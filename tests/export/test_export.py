"""The whole command on a small model: files that prove themselves, gates that refuse, bytes that come again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from edge_agent.classify import calibrated, open_classifier
from edge_agent.config import ClassifierConfig
from edge_agent.errors import ModelError
from edge_agent.model_file import Golden, load, open_model, pack
from export import convert
from export.__main__ import main
from export.faces import gate_faces
from export.graph import Graph
from export.runtimes import LEGACY_PYTHON
from train.data import load as load_data

from .conftest import LABELS, SIZE, TinyRun

pytestmark = pytest.mark.slow
BOTH = "litert,tflite-runtime"


def order(run: TinyRun, out: Path, *more: str) -> list[str]:
    return [str(run.folder), "--data", str(run.data), "--out", str(out), "--name", "helmets", "--no-mlflow", *more]


@pytest.fixture(scope="session")
def exported(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four variants, proven in LiteRT."""
    out = tmp_path_factory.mktemp("exported")
    assert main(order(tiny_run, out, "--variant", "all", "--claim", "litert")) == 0
    return out


def test_every_variant_passes_its_gates_and_loads_in_the_agent(exported: Path) -> None:
    report = json.loads((exported / "export.json").read_text())
    assert [v["variant"] for v in report["variants"]] == ["float32", "float16", "dynamic", "int8"]
    for variant in report["variants"]:
        assert variant["passed"], variant["faults"]
        model, _ = open_model(exported / variant["written"], "classifier")
        assert model.sha256 == variant["sha256"]
        assert model.manifest.runtimes[0].startswith("litert")


def test_a_users_own_classifier_runs_in_the_agent_as_keras_runs_it(exported: Path, tiny_run: TinyRun) -> None:
    classifier = open_classifier(ClassifierConfig(model=exported / "helmets-float32.tflite"))
    assert classifier.labels == LABELS
    assert classifier.input_size_px == SIZE
    assert classifier.thresholds == (0.7, 0.7)
    faces = gate_faces(load_data(tiny_run.data), SIZE, 0.1, 30)
    keras_says = convert.predict(convert.load_keras(tiny_run.folder / "model.keras"), faces.pictures)[0]
    answers = classifier.classify(faces.pictures)
    np.testing.assert_allclose(answers.probabilities, calibrated(keras_says, 1.4), atol=1e-4)


def test_the_file_says_of_itself_what_the_run_recorded(exported: Path) -> None:
    manifest = load(exported / "helmets-int8.tflite").manifest
    assert manifest.labels == LABELS
    assert manifest.architecture == "tiny"
    assert manifest.epochs == 40
    assert manifest.calibration.temperature == 1.4
    assert manifest.calibration.crops > 0
    assert manifest.trained_at.isoformat() == "2026-01-02T03:04:05+00:00"
    assert {m.name for m in manifest.metrics} >= {"val_accuracy", "accuracy", "macro_f1", "ece"}
    assert "val_odd" not in {m.name for m in manifest.metrics}


def test_a_plain_interpreter_and_a_plain_unzip_open_the_file(exported: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = exported / "helmets-int8.tflite"
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    assert interpreter.get_input_details()[0]["dtype"] == np.uint8
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, 0)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(LABELS)


def test_the_same_run_gives_the_same_bytes_in_another_process(
    exported: Path, tiny_run: TinyRun, tmp_path: Path
) -> None:
    arguments = order(tiny_run, tmp_path, "--variant", "int8", "--claim", "litert")
    done = subprocess.run([sys.executable, "-m", "export", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    name = "helmets-int8.tflite"
    again, first = load(tmp_path / name), load(exported / name)
    assert again.flatbuffer == first.flatbuffer
    assert (tmp_path / name).read_bytes() == (exported / name).read_bytes()


def test_a_better_quantisation_keeps_the_network_and_passes_too(tiny_run: TinyRun, tmp_path: Path) -> None:
    for recipe in ("balanced", "float-head"):
        arguments = order(tiny_run, tmp_path, "--variant", "int8", "--claim", "litert", "--recipe", recipe)
        assert main(arguments) == 0
        assert recipe in load(tmp_path / "helmets-int8.tflite").manifest.quantisation_detail


def test_a_model_that_fails_a_gate_gets_no_release_name(
    tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = convert.convert

    def off_by_a_lot(model: keras.Model, variant: str, calibration: np.ndarray, recipe: str = "plain") -> object:
        broken = keras.Sequential(
            [keras.Input((SIZE, SIZE, 3)), keras.layers.Rescaling(-1.0, 255.0, name="negative"), *model.layers]
        )
        return sound(broken, variant, calibration, recipe)

    monkeypatch.setattr(convert, "convert", off_by_a_lot)
    target = tmp_path / "released.tflite"
    arguments = order(tiny_run, tmp_path, "--variant", "float32", "--claim", "litert", "--release", str(target))
    assert main(arguments) == 1
    assert not (tmp_path / "helmets-float32.tflite").exists()
    assert not target.exists()
    assert (tmp_path / "helmets-float32.tflite.refused").exists()
    report = (tmp_path / "export.md").read_text()
    assert "REFUSED" in report
    assert "FAILED" in report


def test_a_network_that_gives_no_probabilities_is_refused(
    tiny_run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = convert.load_keras(tiny_run.folder / "model.keras")
    model.layers[-1].activation = keras.activations.linear
    model.save(tmp_path / "model.keras")
    shutil.copy(tiny_run.folder / "model.json", tmp_path)
    command = order(TinyRun(tmp_path, tiny_run.data), tmp_path / "out", "--variant", "float32", "--claim", "litert")
    assert main(command) == 65
    assert "end it with a softmax" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.tflite*"))


@pytest.mark.parametrize(
    ("entry", "value"), [("temperature", "hot"), ("crop_margin", -3), ("thresholds", {"certain": 7}), ("labels", [""])]
)
def test_a_record_that_cannot_become_a_manifest_is_named_before_anything_dear(
    tiny_run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], entry: str, value: object
) -> None:
    shutil.copy(tiny_run.folder / "model.keras", tmp_path)
    record = json.loads((tiny_run.folder / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(record | {entry: value}))
    capsys.readouterr()
    assert main(order(TinyRun(tmp_path, tiny_run.data), tmp_path, "--variant", "float32", "--claim", "litert")) == 65
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("export: ")]
    assert "model.keras" in line


def test_what_the_front_of_a_network_does_to_a_picture_is_read_from_it(exported: Path) -> None:
    assert load(exported / "helmets-float32.tflite").manifest.input.normalisation == "x / 127.5 - 1"
    picture = keras.Input((SIZE, SIZE, 3))
    assert convert.normalisation(keras.Model(picture, keras.layers.Rescaling(1 / 255)(picture))) == "x / 255"
    assert convert.normalisation(keras.Model(picture, keras.layers.ReLU()(picture))) == ""


@pytest.mark.skipif(not LEGACY_PYTHON.is_file(), reason="needs the environment of make legacy-env")
def test_both_runtimes_give_the_same_answers(tiny_run: TinyRun, tmp_path: Path) -> None:
    assert main(order(tiny_run, tmp_path, "--variant", "all", "--claim", BOTH)) == 0
    for variant in json.loads((tmp_path / "export.json").read_text())["variants"]:
        ways = {(t["runtime"], t["xnnpack"], t["threads"]) for t in variant["runtimes"] if t["passed"]}
        assert len(ways) == 8, variant["runtimes"]


def mutant(exported: Path, tiny_run: TinyRun, front: keras.layers.Layer) -> bytes:
    """A whole, rightly hashed file whose network has one more layer in front, under the golden set of the sound one."""
    sound = load(exported / "helmets-float32.tflite")
    model = convert.load_keras(tiny_run.folder / "model.keras")
    spoiled = keras.Sequential([keras.Input((SIZE, SIZE, 3)), front, *model.layers])
    calibration = sound.golden.inputs(SIZE, SIZE)
    return pack(convert.convert(spoiled, "float32", calibration).flatbuffer, sound.manifest, sound.golden)


@keras.saving.register_keras_serializable("test")
class Swapped(keras.layers.Layer):
    def call(self, x: object) -> object:
        return keras.ops.flip(x, -1)


@pytest.mark.parametrize(
    "front",
    [
        pytest.param(Swapped(), id="red and blue swapped"),
        pytest.param(keras.layers.Rescaling(1 / 127.5, -1.0, name="once_more"), id="normalised twice"),
        pytest.param(keras.layers.Rescaling(1 / 255, name="outside"), id="normalised outside as well"),
        pytest.param(keras.layers.Rescaling(1.0, 1.0, name="brighter"), id="off by one step"),
    ],
)
def test_a_network_that_sees_something_else_is_refused_by_its_golden_inputs(
    exported: Path, tiny_run: TinyRun, tmp_path: Path, front: keras.layers.Layer
) -> None:
    path = tmp_path / "mutant.tflite"
    path.write_bytes(mutant(exported, tiny_run, front))
    with pytest.raises(ModelError, match="golden outputs differ") as caught:
        open_model(path, "classifier")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("entry", "value"), [("zeroPoint", 1), ("scale", 255 / 256)])
def test_a_full_integer_network_that_reads_its_input_off_by_one_is_refused(
    exported: Path, tmp_path: Path, entry: str, value: float
) -> None:
    sound = load(exported / "helmets-int8.tflite")
    graph = Graph(sound.flatbuffer)
    setattr(graph.tensors[graph.inputs[0]].quantization, entry, [value])
    path = tmp_path / "mutant.tflite"
    path.write_bytes(pack(graph.to_bytes(), sound.manifest, sound.golden))
    with pytest.raises(ModelError, match="not as the value itself"):
        open_model(path, "classifier")


def test_golden_outputs_of_swapped_labels_are_refused(exported: Path, tmp_path: Path) -> None:
    sound = load(exported / "helmets-float32.tflite")
    golden = Golden(sound.golden.small, (sound.golden.expected[0][:, ::-1].copy(),), sound.golden.labels)
    path = tmp_path / "swapped.tflite"
    path.write_bytes(pack(sound.flatbuffer, sound.manifest, golden))
    with pytest.raises(ModelError, match="golden outputs differ"):
        open_model(path, "classifier")


def test_a_rubbish_flatbuffer_under_a_right_hash_brings_nothing_down(exported: Path, tmp_path: Path) -> None:
    sound = load(exported / "helmets-float32.tflite")
    for seed in range(3):
        rubbish = bytearray(sound.flatbuffer)
        for at in np.random.default_rng(seed).integers(8, len(rubbish), 2000):
            rubbish[at] ^= 0x55
        path = tmp_path / f"rubbish{seed}.tflite"
        path.write_bytes(pack(bytes(rubbish), sound.manifest, sound.golden))
        done = subprocess.run(
            [sys.executable, "-m", "edge_agent", "models", "verify", str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 65, done.stderr
        assert "Traceback" not in done.stderr
