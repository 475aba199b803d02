"""What this device says of itself: versions, models, capabilities."""

from __future__ import annotations

import hashlib
from typing import Any

from edge_agent import __version__
from edge_agent.config import Config
from edge_agent.messages import Info, ModelInfo
from edge_agent.predictor import FaceMaskPredictor


def info_of(config: Config, predictor: FaceMaskPredictor) -> Info:
    """What the device says of itself over MQTT."""
    capabilities = ["events", "stats"]
    capabilities += ["commands"] if config.mqtt.commands else []
    capabilities += ["snapshots"] if config.mqtt.snapshots else []
    return Info(
        version=__version__,
        model=_model_info(predictor.classifier),
        detector=_model_info(predictor.detector),
        labels=predictor.labels,
        config_sha256=hashlib.sha256(config.model_dump_json().encode()).hexdigest(),
        capabilities=tuple(capabilities),
    )


def _model_info(part: Any) -> ModelInfo:
    model = getattr(part, "model", None)
    if model is None:
        return ModelInfo(name=part.name)
    return ModelInfo(name=model.manifest.name, version=model.manifest.version, sha256=model.sha256)
