"""One model through conversion, contract, runtimes and gates; a variant that fails gets no release name."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from edge_agent.classify import calibrated, faceness
from edge_agent.errors import MaskwatchError, ModelError, UsageError
from edge_agent.model_file import Metric, read
from edge_agent.records import F32, Answers
from edge_agent.runtime import Runtime, check_input, open_runtime
from export import convert, gates
from export.build import Draft, blind_to, check_record, draft, face_of, temperature_of, write
from export.build import faults as faults_of
from export.faces import Faces, calibration_faces, gate_faces
from export.gates import Outcome
from export.operators import operators
from export.report import VariantReport
from export.runtimes import Trial, trials
from export.source import RECORD_NAME, WEIGHTS_END, Source
from train.data import Dataset
from train.face.doubt import doubt

Say = Callable[[str], None]
FEWEST_GATE_CROPS = 500
TOOLS = ("tensorflow", "keras", "numpy", "ai-edge-litert")


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of an export."""

    name: str
    version: str
    variants: tuple[str, ...]
    recipe: str
    folder: Path
    calibration_per_class: int
    gate_crops: int
    claimed: dict[str, Path]
    size: tuple[int, int] | None = None


def load_classifier(source: Source, with_face: bool = True) -> Any:
    """The Keras classifier, with its face branch where it has one.

    From a .keras file, or weights and the record that says of which network they are.
    """
    classifier = _load_classifier(source)
    if not with_face or source.record.get("face") is None:
        return classifier
    from train.face.branch import with_branch

    return with_branch(classifier, source.keras_file.parent, source.record)


def _load_classifier(source: Source) -> Any:
    if not source.keras_file.name.endswith(WEIGHTS_END):
        return convert.load_keras(source.keras_file)
    from train.config import ModelConfig
    from train.models import build

    wanted = ("architecture", "alpha", "input_size_px", "head_units")
    if missing := [key for key in wanted if key not in source.record]:
        raise ModelError(f"{RECORD_NAME} of {source.keras_file} lacks {', '.join(missing)}; keep the run again")
    try:
        config = ModelConfig(**{key: source.record[key] for key in wanted}, weights="")
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"]) or "network"
        raise ModelError(f"{RECORD_NAME} of {source.keras_file}: its {entry}: {first['msg']}") from None
    return with_weights(build(config, len(source.labels)).model, source)


def with_weights(model: Any, source: Source) -> Any:
    """The model with the source's weights. Raises ModelError where they are another network's, or damaged."""
    from train.models import load_weights

    try:
        load_weights(model, source.keras_file, RECORD_NAME)
    except MaskwatchError as error:
        raise ModelError(f"{error}; its {RECORD_NAME} is of another network, or the file is damaged") from None
    return model


def export(source: Source, dataset: Dataset, order: Order, say: Say) -> list[VariantReport]:
    """Every variant wanted, one after another."""
    check_record(source, order.name, order.version)
    if source.kind == "detector":
        from export.detector import export_detector

        return export_detector(source, dataset, order, say)
    model = load_classifier(source)
    width, height = convert.input_size(model)
    _fits(source, dataset, model, width, height)
    margin = float(source.record["crop_margin"])
    say(f"cutting calibration and gate faces at {width} px")
    calibration = calibration_faces(dataset, width, margin, order.calibration_per_class)
    faces = gate_faces(dataset, width, margin, order.gate_crops)
    if len(faces) < FEWEST_GATE_CROPS:
        say(f"only {len(faces)} faces for the gates; {FEWEST_GATE_CROPS} and more make their figures firm")
    say(f"asking Keras about {len(faces)} gate faces")
    raw = convert.predict(model, faces.pictures)
    _are_probabilities(source, raw[0])
    answers = _answers(source, raw)
    _doubt_face_branch(source, answers, say)
    judge = _Judge(source, order, faces, answers, say)
    return [_variant(judge, model, variant, calibration) for variant in order.variants]


@dataclass(frozen=True, slots=True)
class _Judge:
    """Holds what is exported against what Keras says of the gate faces."""

    source: Source
    order: Order
    faces: Faces
    keras: Answers
    say: Say

    def outcome(self, runtime: Runtime, variant: str) -> Outcome:
        each = [runtime.run(self.faces.pictures[i : i + 1]) for i in range(len(self.faces))]
        exported = _answers(self.source, [np.concatenate(column) for column in zip(*each, strict=True)])
        outcome = gates.compare(
            self.keras.probabilities, exported.probabilities, self.faces, self.source.labels, variant
        )
        return gates.with_faces(outcome, self.keras.faces, exported.faces) if face_of(self.source) else outcome


def _answers(source: Source, outputs: list[F32]) -> Answers:
    """Calibrated, from the network's outputs in any order, each (n, values)."""
    outputs = sorted(outputs, key=lambda output: -output.shape[1])
    part = face_of(source)
    faces = faceness(outputs[1][:, 0], part) if part else np.ones(len(outputs[0]), np.float32)
    return Answers(calibrated(outputs[0], temperature_of(source)), faces)


def _variant(judge: _Judge, model: Any, variant: str, calibration: Faces) -> VariantReport:
    """Convert, and where plain int8 fails its gates go on to the next recipe."""
    for recipe in recipes_for(judge.order, variant):
        judge.say(f"{variant}: converting ({recipe})")
        converted = convert.convert(model, variant, calibration.pictures, recipe)
        runtime = open_runtime(converted.flatbuffer)
        width, height = convert.input_size(model)
        check_input(runtime, width, height)
        judge.say(f"{variant}: running {len(judge.faces)} gate faces")
        outcome = judge.outcome(runtime, variant)
        if outcome.passed:
            break
        judge.say(f"{variant}: {recipe}: {outcome.failures()}")
    details = {
        "parameters": model.count_params(),
        "normalisation": convert.normalisation(model),
        "calibration_crops": len(calibration) if variant == "int8" else 0,
        "calibration_data": "class-balanced faces of the training split" if variant == "int8" else "",
        "maps": (),
        "tools": tools(),
    }
    judge.say(f"{variant}: choosing golden inputs")
    made = draft(judge.source, converted, runtime, judge.order.name, judge.order.version, details)
    made = made.measured(metrics(judge.source, outcome, len(judge.faces)))
    return finish(made, runtime, outcome, judge.order, converted.recipe, judge.say)


def finish(made: Draft, runtime: Runtime, outcome: Outcome, order: Order, recipe: str, say: Say) -> VariantReport:
    """Prove it in the runtimes it claims, set tolerances, and write it: under its release name, or as refused."""
    variant = made.manifest.quantisation
    release = order.folder / f"{order.name}-{variant}.tflite"
    candidate = order.folder / f"{release.name}.candidate.{os.getpid()}"  # another export may write here too
    try:
        write(candidate, made.bytes)
        say(f"{variant}: proving it in {', '.join(order.claimed)}")
        tried = trials(candidate, order.claimed)
    finally:
        candidate.unlink(missing_ok=True)
    found = faults_of(made, runtime)
    made = made.proven(tried, found)
    blind = blind_to(made, found)
    faults = tuple(dict.fromkeys(_faults(tried, blind)))
    content = made.bytes
    read(content, release)  # what cannot be read back is not written
    passed = outcome.passed and not faults
    target = release if passed else order.folder / f"{release.name}.refused"
    write(target, content)
    if not passed:
        release.unlink(missing_ok=True)
    say(f"{variant}: {'passed' if passed else 'REFUSED'}, {target}")
    return VariantReport(
        variant=variant,
        recipe=recipe,
        flatbuffer_bytes=len(made.flatbuffer),
        file_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        outcome=outcome,
        trials=tuple(tried),
        blind=tuple(blind),
        operators=operators(made.flatbuffer),
        faults=faults,
        written=target.name,
    )


def _faults(tried: list[Trial], blind: list[Any]) -> list[str]:
    faults = [f"{trial.runtime} is claimed and does not run it: {trial.fault}" for trial in tried if not trial.passed]
    return faults + [
        f"its golden inputs would not notice: {power.fault} (differs by {power.apart.largest:.4f} at most, "
        f"{power.apart.mean:.5f} on average)"
        for power in blind
    ]


def metrics(source: Source, outcome: Outcome, count: int) -> list[Metric]:
    """The figures for the manifest: of training's record, as far as they are numbers, and of the gates."""
    found: list[Metric] = []
    trained = dict(source.record.get("metrics") or {})
    of, counts = int(trained.pop("val_faces", 0)), dict(source.record.get("metrics_n") or {})
    measured_on = str(source.record.get("metrics_data") or "training's own report")
    for name, value in sorted(trained.items()):
        table = value if isinstance(value, dict) else {"": value}
        for key, number in sorted(table.items()):
            if isinstance(number, int | float) and np.isfinite(number):
                full = "".join(c if c.isalnum() or c in "._-" else "_" for c in f"{name}.{key}".strip("."))[:80]
                found.append(Metric(name=full, value=float(number), data=measured_on, n=int(counts.get(name, of))))
    data = "validation and test faces of the gates"
    found = found[:150]
    for key in ("accuracy", "macro_f1", "ece"):
        if key in outcome.figures:
            found.append(Metric(name=key, value=round(outcome.figures[key], 6), data=data, n=count))
    return found


def tools() -> dict[str, str]:
    """What made the file."""
    versions = {name: importlib.metadata.version(name) for name in TOOLS}
    return versions | {"python": ".".join(map(str, sys.version_info[:3]))}


def recipes_for(order: Order, variant: str) -> tuple[str, ...]:
    """Which ways to quantise are tried, one after the other, until the gates pass."""
    from export.quantise import TRIED

    if variant != "int8":
        return ("plain",)
    return TRIED if order.recipe == "auto" else (order.recipe,)


def _fits(source: Source, dataset: Dataset, model: Any, width: int, height: int) -> None:
    """Cheap checks before dear work."""
    labels = source.labels
    outputs = [tuple(output.shape) for output in model.outputs]
    if width != height:
        raise UsageError(f"{source.keras_file} takes {width} x {height} px; a classifier's input has to be square")
    if outputs[:1] != [(None, len(labels))] or outputs[1:] != ([(None, 1)] if face_of(source) else []):
        raise UsageError(
            f"{source.keras_file} gives {outputs} for {len(labels)} labels; give --labels as it was trained"
        )
    if labels != dataset.labels:
        raise UsageError(
            f"{source.keras_file} has the labels {', '.join(labels)}, the data set {', '.join(dataset.labels)}; "
            "give --data with the model's labels, in the same order"
        )


def _are_probabilities(source: Source, outputs: F32) -> None:
    """Logits would pass every gate, since they are compared with themselves, and mean nothing on a device."""
    worst = float(np.abs(outputs.sum(axis=1) - 1).max())
    if not (outputs.min() >= 0 and worst < 0.01):  # this way round, so that NaN is refused
        raise ModelError(
            f"{source.keras_file} gives values from {outputs.min():.3g} to {outputs.max():.3g} whose sum is off 1 by "
            f"{worst:.3g}: no probabilities; end it with a softmax over the labels"
        )


def _doubt_face_branch(source: Source, answers: Answers, say: Say) -> None:
    """The gates compare with Keras, and a branch that tells nothing agrees with itself. answers: of faces alone."""
    if why := doubt(source.record.get("face")):
        say(f"warning: the face branch {why}; run train-face with more photographs, or leave its entry out")
    none, count = int((answers.faces <= 0).sum()), len(answers.faces)
    if 2 * none > count:
        say(f"warning: the face branch takes {none} of {count} gate faces for none, and a device would not count them")
