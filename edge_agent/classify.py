"""Crops to calibrated probabilities, through LiteRT or tflite-runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_agent.config import ClassifierConfig
from edge_agent.errors import ModelError
from edge_agent.model_file import FacePart, Manifest, ModelFile, open_model
from edge_agent.records import F32, U8, Answers
from edge_agent.runtime import Runtime

SHIPPED = Path(__file__).parent / "models" / "classifier.tflite"
DEFAULT_THRESHOLD = 0.6
SMALLEST_PROBABILITY = 1 / 512  # half a step of an int8 softmax: below it a full-integer output is 0


class LiteRtClassifier:
    """A classifier whose golden inputs gave, on this device, what they gave where it was exported."""

    def __init__(self, model: ModelFile, runtime: Runtime, threshold: float | None = None) -> None:
        """threshold: for every label, instead of the model's own. Raises ModelError where the network does not fit."""
        part = model.manifest.classifier
        if part is None:
            raise ModelError(f"{model.path} is a {model.manifest.kind}, not a classifier; name another file")
        self.model = model
        self.name = model.manifest.name
        self.sha256 = model.sha256
        self.labels = model.labels
        self.input_size_px = model.manifest.input.width_px
        self.crop_margin = part.crop_margin
        self.thresholds = tuple(
            part.thresholds.get(label, DEFAULT_THRESHOLD) if threshold is None else threshold for label in self.labels
        )
        self.threshold = max(self.thresholds)
        self.runtime = runtime.info
        self._runtime = runtime
        self._temperature = model.manifest.calibration.temperature
        self._face = part.face
        shapes = [tensor.shape for tensor in runtime.outputs]
        if sorted(shapes) != sorted((1, values) for values in part.outputs(len(self.labels))):
            raise ModelError(
                f"{model.path}: the network's outputs {shapes} do not fit its {len(self.labels)} labels"
                f"{' and its answer about faces' if part.face else ''}; export it again"
            )
        self._labels_at = shapes.index((1, len(self.labels)))

    @property
    def manifest(self) -> Manifest:
        return self.model.manifest

    def classify(self, crops: U8) -> Answers:
        """Its answers for uint8 RGB (n, size, size, 3); n may be 0."""
        size = self.input_size_px
        if crops.dtype != np.uint8 or crops.shape[1:] != (size, size, 3):
            raise ValueError(f"crops are {crops.dtype} {crops.shape}; give uint8 (n, {size}, {size}, 3)")
        raw, faces = np.zeros((len(crops), len(self.labels)), np.float32), np.ones(len(crops), np.float32)
        for i in range(len(crops)):
            outputs = self._runtime.run(crops[i : i + 1])
            raw[i] = outputs[self._labels_at][0]
            if self._face is not None:
                faces[i] = outputs[1 - self._labels_at][0, 0]
        if self._face is not None:
            faces = faceness(faces, self._face)
        return Answers(calibrated(raw, self._temperature), faces)


def faceness(probabilities: F32, part: FacePart) -> F32:
    """0 up to `none_below`, 1 from `sure_from` on, straight in between; float32 (n,)."""
    way = (probabilities - part.none_below) / (part.sure_from - part.none_below)
    return np.asarray(np.clip(way, 0, 1), np.float32)


def calibrated(probabilities: F32, temperature: float) -> F32:
    """Divide log-probabilities by a temperature and normalise again (Guo et al. 2017, arXiv 1706.04599).

    A softmax of log-probabilities is the one of logits: both differ by a constant a row. float32 (n, labels).
    """
    if len(probabilities) == 0:
        return probabilities
    floor = SMALLEST_PROBABILITY if temperature != 1.0 else 1e-12
    logs = np.log(np.maximum(probabilities.astype(np.float64), floor)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def open_classifier(config: ClassifierConfig) -> LiteRtClassifier:
    """The classifier that the configuration names, proven on this device."""
    model, runtime = open_model(config.model or SHIPPED, "classifier", config.threads)
    return LiteRtClassifier(model, runtime, config.threshold)
