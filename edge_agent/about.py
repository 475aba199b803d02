"""What this device says of itself: versions, models, capabilities."""

from __future__ import annotations

import hashlib
from typing import Any

from edge_agent import __version__
from edge_agent.config import Config
from edge_agent.messages import Info, ModelInfo
from edge_agent.predictor import FaceMaskPredictor


def model_info(predictor: FaceMaskPredictor) -> dict[str, Any]:
    """Both manifests, where the models have one."""
    found: dict[str, Any] = {}
    for kind, part in (("classifier", predictor.classifier), ("detector", predictor.detector)):
        model = getattr(part, "model", None)
        about: dict[str, Any] = {"name": part.name}
        if model is not None:
            about |= {"sha256": model.sha256, "file_bytes": model.path.stat().st_size}
            about["manifest"] = model.manifest.model_dump(mode="json", by_alias=True)
        found[kind] = about
    return found


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
