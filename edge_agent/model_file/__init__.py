"""A model file: a TFLite flatbuffer with a zip appended that states what it is and how to prove it still works.

    model = load(Path("classifier.tflite"), kind="classifier")   # every check but the runtime's
    model, runtime = open_model(Path("classifier.tflite"), "classifier", threads=1)   # all of them
    model.manifest.labels, model.flatbuffer, model.golden

The zip holds `manifest.json`, `labels.txt` and `golden.npz`; its comment is the SHA-256 of every byte before the end
record. Any TFLite runtime loads the file as it is, any unzip opens it. All checks come before a runtime sees a byte: a
damaged flatbuffer can crash one.
"""

from __future__ import annotations

from edge_agent.model_file.container import LARGEST_ZIP_BYTES
from edge_agent.model_file.golden import Golden, run_golden
from edge_agent.model_file.manifest import (
    Calibration,
    ClassifierPart,
    DetectorPart,
    FacePart,
    GoldenPart,
    InputPart,
    Manifest,
    Metric,
)
from edge_agent.model_file.model import ModelFile, load, pack, read
from edge_agent.model_file.proof import Proof, measure, open_model, prove

__all__ = [
    "LARGEST_ZIP_BYTES",
    "Calibration",
    "ClassifierPart",
    "DetectorPart",
    "FacePart",
    "Golden",
    "GoldenPart",
    "InputPart",
    "Manifest",
    "Metric",
    "ModelFile",
    "Proof",
    "load",
    "measure",
    "open_model",
    "pack",
    "prove",
    "read",
    "run_golden",
]
