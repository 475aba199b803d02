"""The classifier that the agent ships, through the runtime that is installed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from edge_agent.classify import SHIPPED, open_classifier
from edge_agent.config import ClassifierConfig
from edge_agent.errors import ModelError, NotFoundError
from edge_agent.model_file import load, measure, pack, prove
from edge_agent.model_file.proof import start

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")


def test_the_shipped_classifier_names_the_three_classes_in_order() -> None:
    classifier = open_classifier(ClassifierConfig())
    assert classifier.labels == LABELS
    assert classifier.sha256 == load(SHIPPED).sha256
    assert len(classifier.thresholds) == 3


def test_the_shipped_classifier_is_under_four_megabytes_and_its_zip_under_one() -> None:
    model = load(SHIPPED, "classifier")
    assert model.manifest.flatbuffer_bytes < 4_000_000
    assert SHIPPED.stat().st_size - model.manifest.flatbuffer_bytes < 1_000_000


def test_a_batch_gives_what_each_crop_gives_alone_and_rows_add_up_to_one() -> None:
    classifier = open_classifier(ClassifierConfig())
    size = classifier.input_size_px
    crops = np.random.default_rng(2).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    together = classifier.classify(crops)
    assert together.probabilities.dtype == together.faces.dtype == np.float32
    np.testing.assert_allclose(together.probabilities.sum(axis=1), 1, atol=1e-5)
    for i in range(3):
        alone = classifier.classify(crops[i : i + 1])
        np.testing.assert_array_equal(alone.probabilities[0], together.probabilities[i])
        assert alone.faces[0] == together.faces[i]


def test_no_crops_give_no_rows() -> None:
    classifier = open_classifier(ClassifierConfig())
    size = classifier.input_size_px
    answers = classifier.classify(np.zeros((0, size, size, 3), np.uint8))
    assert answers.probabilities.shape == (0, 3)
    assert answers.faces.shape == (0,)


def test_crops_of_another_size_or_type_are_refused() -> None:
    classifier = open_classifier(ClassifierConfig())
    size = classifier.input_size_px
    with pytest.raises(ValueError, match="give uint8"):
        classifier.classify(np.zeros((1, size + 1, size, 3), np.uint8))
    with pytest.raises(ValueError, match="give uint8"):
        classifier.classify(np.zeros((1, size, size, 3), np.float32))  # type: ignore[arg-type]


def test_a_threshold_of_the_configuration_replaces_the_models() -> None:
    assert open_classifier(ClassifierConfig(threshold=0.8)).thresholds == (0.8, 0.8, 0.8)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.tflite"):
        open_classifier(ClassifierConfig(model=tmp_path / "none.tflite"))


def test_a_network_that_answers_something_else_is_refused(tmp_path: Path) -> None:
    model = load(SHIPPED)
    wrong = tuple(
        np.ascontiguousarray(expected[:, ::-1] if expected.shape[1] > 1 else 1 - expected)
        for expected in model.golden.expected
    )
    golden = type(model.golden)(model.golden.small, wrong, model.golden.labels)
    path = tmp_path / "other.tflite"
    path.write_bytes(pack(model.flatbuffer, model.manifest, golden))
    with pytest.raises(ModelError, match="golden outputs differ"):
        open_classifier(ClassifierConfig(model=path))


def test_the_manifest_of_another_input_size_is_refused(tmp_path: Path) -> None:
    model = load(SHIPPED)
    size = model.manifest.input.width_px
    smaller = model.manifest.input.model_copy(update={"width_px": size - 4, "height_px": size - 4})
    golden = type(model.golden)(model.golden.small[:, :-1, :-1].copy(), model.golden.expected, model.golden.labels)
    path = tmp_path / "size.tflite"
    path.write_bytes(pack(model.flatbuffer, model.manifest.model_copy(update={"input": smaller}), golden))
    with pytest.raises(ModelError, match="its manifest says"):
        open_classifier(ClassifierConfig(model=path))


@pytest.mark.parametrize("xnnpack", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_golden_inputs_pass_with_any_kernels_and_threads(xnnpack: bool, threads: int) -> None:
    model = load(SHIPPED)
    assert measure(model, threads, xnnpack).apart.largest <= model.manifest.golden.largest_difference


def test_golden_inputs_run_within_300_milliseconds_of_cpu_time() -> None:
    model = load(SHIPPED)
    runtime = start(model)
    spent = []
    for _ in range(3):
        begun = time.process_time()  # the CPU's own time, the least of three: a busy machine must not fail it
        prove(model, runtime)
        spent.append(time.process_time() - begun)
    assert min(spent) < 0.3
