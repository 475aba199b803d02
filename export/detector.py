"""Exporting a face detector: any size that its strides divide, maps as they come out, gates on whole photographs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_agent.detect_tflite import Level, decode, levels_of, suppress
from edge_agent.errors import ModelError, UsageError
from edge_agent.preprocess import letterbox
from edge_agent.records import F32, U8, Box
from edge_agent.runtime import Runtime, check_input, open_runtime
from export import convert
from export.build import draft
from export.faces import GATE_SETS, boxed, photographs
from export.gates import Differing, Gate, Outcome
from export.pipeline import Order, Say, finish, metrics, recipes_for, tools, with_weights
from export.report import VariantReport
from export.source import DETECTOR, WEIGHTS_END, Source
from train.data import Dataset
from train.photographs import read_photograph

CALIBRATION_PHOTOS, GATE_PHOTOS = 96, 130
SAME_IOU, FOUND_IOU = 0.6, 0.4
SMALLEST_FACE_PX = 12
LEAST_FOUND = 0.3  # a network, or a score, that finds next to nothing agrees with its copy about nothing


@dataclass(frozen=True, slots=True)
class Scene:
    """One photograph as the network sees it, and its labelled faces in network pixels."""

    name: str
    picture: U8
    faces: tuple[Box, ...]


def export_detector(source: Source, dataset: Dataset, order: Order, say: Say) -> list[VariantReport]:
    """Every variant wanted of a detector."""
    model = load_model(source, order.size)
    width, height = convert.input_size(model)
    levels = _levels(model, width, height)
    _check_record(source, levels)
    sets = [name for name in GATE_SETS if name in {s.set for s in dataset.samples}] or None
    say(f"reading photographs for {width} x {height} px")
    train = photographs(dataset, ["train"], sets, CALIBRATION_PHOTOS)
    calibration = np.stack([boxed(path, width, height) for path, _ in train])
    scenes = _scenes(dataset, sets, width, height)
    say(f"asking Keras about {len(scenes)} photographs")
    judge = Judge(source, scenes, levels)
    keras = [judge.boxes([out[None] for out in _one(model, scene.picture)]) for scene in scenes]
    return [_variant(source, order, say, model, variant, calibration, judge, keras) for variant in order.variants]


def load_model(source: Source, size: tuple[int, int] | None) -> Any:
    """The Keras detector: a .keras file of its own size, or the weights of a run of train.detector at any."""
    if not source.keras_file.name.endswith(WEIGHTS_END):
        model = convert.load_keras(source.keras_file)
        if size not in (None, convert.input_size(model)):
            width, height = convert.input_size(model)
            raise UsageError(f"{source.keras_file} takes {width}x{height} px; leave --size out, or release it again")
        return model
    record = source.record
    try:
        if size is None and "input_width_px" in record:
            size = int(record["input_width_px"]), int(record["input_height_px"])
        channels, alpha = int(record.get("channels", 64)), float(record.get("alpha", 0.35))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"the record beside {source.keras_file} does not describe a detector: {error}") from None
    if size is None or any(side < 64 or side % 32 for side in size):
        raise UsageError(
            "a detector's weights take many sizes; give --size WIDTHxHEIGHT, multiples of 32 from 64 on, as in 320x192"
        )
    from train.detector.network import build_detector, extent_in

    try:
        model = build_detector(channels, alpha, size[1], size[0], extent_in(source.keras_file, alpha))
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ModelError(f"the record beside {source.keras_file} describes no network: {reason}") from None
    return with_weights(model, source)


def _check_record(source: Source, levels: list[Level]) -> None:
    """What would go into the manifest is true of the network. Raises ModelError or UsageError."""
    if source.labels != tuple(DETECTOR["labels"]):
        raise UsageError(
            f"{source.keras_file}: the labels are {', '.join(source.labels)}; a detector's one label is "
            f"{DETECTOR['labels'][0]}, leave --labels out"
        )
    said, strides = source.record.get("strides"), [level.stride for level in levels]
    if said is not None and said != strides:
        raise ModelError(f"{source.keras_file}: its record has the strides {said}, its maps those of {strides}")


@dataclass(frozen=True, slots=True)
class Judge:
    """Decodes maps as the agent does, and compares."""

    source: Source
    scenes: tuple[Scene, ...]
    levels: list[Level]

    def boxes(self, outputs: list[F32], levels: list[Level] | None = None) -> list[tuple[Box, float]]:
        """Boxes above the model's threshold with their scores, after suppression, best first."""
        record = self.source.record
        boxes, scores = decode(outputs, levels or self.levels, float(record["score_threshold"]))
        rows = suppress(boxes, scores, float(record["nms_iou"]))
        return [(Box(*(float(v) for v in boxes[row])), float(scores[row])) for row in rows]

    def outcome(self, runtime: Runtime, keras: list[list[tuple[Box, float]]]) -> Outcome:
        """Gates of an exported file against what Keras found."""
        height, width = runtime.inputs[0].shape[1:3]
        levels = levels_of([tensor.shape for tensor in runtime.outputs], width, height)
        ours = [self.boxes(runtime.run(scene.picture[None]), levels) for scene in self.scenes]
        missed = sum(_unmatched(theirs, mine, SAME_IOU) for theirs, mine in zip(keras, ours, strict=True))
        gained = sum(_unmatched(mine, theirs, SAME_IOU) for theirs, mine in zip(keras, ours, strict=True))
        total = sum(map(len, keras)) + sum(map(len, ours))
        same = 1 - (missed + gained) / max(1, total)
        found = _recall(keras, self.scenes), _recall(ours, self.scenes)
        false = _false(keras, self.scenes), _false(ours, self.scenes)
        more = (false[1] - false[0]) / max(1, sum(map(len, keras)))
        overlap = _overlap(keras, ours)
        gates = (
            Gate("faces found by Keras", found[0], f">= {LEAST_FOUND}", found[0] >= LEAST_FOUND),
            Gate("boxes that Keras finds too, and back", same, ">= 0.97", same >= 0.97),
            Gate("faces found lost", found[0] - found[1], "<= 0.01", found[0] - found[1] <= 0.01),
            Gate("boxes on no face gained", more, "<= 0.01", more <= 0.01),
            Gate("overlap with the boxes of Keras (median IoU)", overlap, ">= 0.9", overlap >= 0.9),
        )
        figures = {
            "photographs": float(len(self.scenes)),
            "faces": float(sum(len(_large(scene)) for scene in self.scenes)),
            "found_keras": found[0],
            "found": found[1],
            "false_boxes_keras": float(false[0]),
            "false_boxes": float(false[1]),
        }
        return Outcome(gates, figures, _differing(self.scenes, keras, ours))


def _variant(
    source: Source,
    order: Order,
    say: Say,
    model: Any,
    variant: str,
    calibration: U8,
    judge: Judge,
    keras: list[list[tuple[Box, float]]],
) -> VariantReport:
    height, width = calibration.shape[1:3]
    for recipe in recipes_for(order, variant):
        say(f"{variant}: converting ({recipe})")
        converted = convert.convert(model, variant, calibration, recipe)
        runtime = open_runtime(converted.flatbuffer)
        check_input(runtime, width, height)
        outcome = judge.outcome(runtime, keras)
        if outcome.passed:
            break
        say(f"{variant}: {recipe}: {outcome.failures()}")
    details = {
        "parameters": model.count_params(),
        "normalisation": convert.normalisation(model),
        "calibration_crops": len(calibration) if variant == "int8" else 0,
        "calibration_data": "photographs of the training split" if variant == "int8" else "",
        "maps": tuple(_map_name(tensor.shape, height) for tensor in runtime.outputs),
        "tools": tools(),
    }
    made = draft(source, converted, runtime, order.name, order.version, details)
    made = made.measured(metrics(source, outcome, len(judge.scenes)))
    return finish(made, runtime, outcome, order, converted.recipe, say)


def _scenes(dataset: Dataset, sets: list[str] | None, width: int, height: int) -> tuple[Scene, ...]:
    scenes = []
    for path, samples in photographs(dataset, ["val", "test"], sets, GATE_PHOTOS):
        picture, letterboxed = letterbox(read_photograph(path), width, height)
        fit = letterboxed.scale
        faces = tuple(Box(s.box.x * fit, s.box.y * fit, s.box.w * fit, s.box.h * fit) for s in samples if s.box)
        scenes.append(Scene(samples[0].id.split("#")[0], picture, faces))
    return tuple(scenes)


def _one(model: Any, picture: U8) -> list[F32]:
    return [out[0] for out in convert.predict(model, picture[None])]


def _levels(model: Any, width: int, height: int) -> list[Level]:
    outputs = convert.predict(model, np.zeros((1, height, width, 3), np.uint8))
    return levels_of([out.shape for out in outputs], width, height)


def _map_name(shape: tuple[int, ...], height: int) -> str:
    return f"{'score' if shape[-1] == 1 else 'box'}_{height // shape[1]}"


def _large(scene: Scene) -> list[Box]:
    """Faces that have to be found, by their size in network pixels: a face of 24 px in a picture of 640 at 320."""
    return [box for box in scene.faces if box.shorter_side >= SMALLEST_FACE_PX]


def _unmatched(some: list[tuple[Box, float]], others: list[tuple[Box, float]], iou: float) -> int:
    return sum(not any(box.iou(other) >= iou for other, _ in others) for box, _ in some)


def _recall(found: list[list[tuple[Box, float]]], scenes: tuple[Scene, ...]) -> float:
    faces = [(face, boxes) for scene, boxes in zip(scenes, found, strict=True) for face in _large(scene)]
    return sum(any(face.iou(box) >= FOUND_IOU for box, _ in boxes) for face, boxes in faces) / max(1, len(faces))


def _false(found: list[list[tuple[Box, float]]], scenes: tuple[Scene, ...]) -> int:
    return sum(
        not any(box.iou(face) >= FOUND_IOU for face in scene.faces)
        for scene, boxes in zip(scenes, found, strict=True)
        for box, _ in boxes
    )


def _overlap(keras: list[list[tuple[Box, float]]], ours: list[list[tuple[Box, float]]]) -> float:
    best = [
        max((box.iou(other) for other, _ in mine), default=0.0)
        for theirs, mine in zip(keras, ours, strict=True)
        for box, _ in theirs
    ]
    return float(np.median(best)) if best else 1.0


def _differing(
    scenes: tuple[Scene, ...], keras: list[list[tuple[Box, float]]], ours: list[list[tuple[Box, float]]]
) -> tuple[Differing, ...]:
    return tuple(
        Differing(
            scene.name,
            f"{len(scene.faces)} faces",
            f"{len(theirs)} boxes",
            f"{len(mine)} boxes",
            round(max((score for _, score in theirs), default=0.0), 4),
            round(max((score for _, score in mine), default=0.0), 4),
        )
        for scene, theirs, mine in zip(scenes, keras, ours, strict=True)
        if _unmatched(theirs, mine, SAME_IOU) or _unmatched(mine, theirs, SAME_IOU)
    )
