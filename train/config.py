"""The training configuration: one TOML file, unknown keys refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from train.settings import read_settings

FILES = ("landmarks_model", "exclude", "relabel", "start_from")  # keys of TrainConfig that name a file, or nothing


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(_Part):
    """weights: a file of the backbone's weights, "imagenet" (Keras downloads it), or "" for random ones."""

    architecture: Literal["mobilenet_v2", "efficientnet", "small_cnn"] = "mobilenet_v2"
    alpha: float = Field(default=1.0, gt=0, le=4)
    input_size_px: int = Field(default=112, ge=32, le=320)
    weights: str = ""
    head_units: int = Field(default=512, ge=0, le=8192)
    dropout: float = Field(default=0.5, ge=0, lt=1)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.architecture == "efficientnet" and self.alpha != 1.0:
            raise ValueError("efficientnet has one width: leave alpha at 1.0")
        return self


class PhaseConfig(_Part):
    """One phase. The backbone's last `open_layers` layers are trained (or all from the layer whose name starts with
    `open_from` on; -1 opens all); what lies below runs once for each augmented view.

    banks: how many augmented versions of the drawn set are cached; epochs go round them.
    weight_noise: each step sees weights moved at random by up to half so many steps of an 8-bit scale.
    """

    name: str
    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    open_layers: int = Field(default=0, ge=-1)
    open_from: str = ""
    banks: int = Field(default=4, ge=1)
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    patience: int = Field(default=8, ge=1)
    mixup: float = Field(default=0.0, ge=0, le=1)
    weight_noise: float = Field(default=0.0, ge=0, le=8)


class AugmentConfig(_Part):
    """strength 0 turns augmentation off, 1 is the default. Jitter imitates a detector: shares of the box."""

    strength: float = Field(default=1.0, ge=0, le=2)
    offset: float = Field(default=0.06, ge=0, le=0.5)
    scale: float = Field(default=0.10, ge=0, le=0.5)
    rotation_deg: float = Field(default=12.0, ge=0, le=90)
    low_resolution: float = Field(default=0.3, ge=0, le=1)
    smallest_px: int = Field(default=14, ge=4)


class BalanceConfig(_Part):
    """How the rare class is heard: draw classes in `shares`, weigh the loss, SMOTE on backbone features, or nothing."""

    method: Literal["sampling", "class_weights", "smote", "none"] = "sampling"
    shares: dict[str, float] = {}
    synthetic_bad: float = Field(default=0.0, ge=0, le=1)
    synthetic_good: float = Field(default=0.0, ge=0, le=1)
    donors: float = Field(default=0.4, ge=0, le=1)


class TrainConfig(_Part):
    """Everything that makes a run. Paths are relative to the file, then to the working folder."""

    name: str = "classifier"
    dataset: Path
    seed: int = 1
    batch_size: int = Field(default=64, ge=2)
    crop_margin: float = Field(default=0.15, ge=0, le=0.6)
    min_side_px: int = Field(default=16, ge=4)
    report_side_px: int = Field(default=24, ge=4)
    bank_size: int = Field(default=0, ge=0, description="draws in a bank; 0: as many as there are training faces")
    label_smoothing: float = Field(default=0.03, ge=0, lt=0.5)
    weight_decay: float = Field(default=1e-4, ge=0)
    target_risk: float = Field(
        default=0.03, gt=0, lt=1, description="the share of errors accepted among certain readings"
    )
    landmarks_model: str = ""
    exclude: str = Field(default="", description="a CSV with a column `id`: training faces left out (doubtful labels)")
    relabel: str = Field(default="", description="a CSV with columns `id` and `label`: training faces put right by eye")
    start_from: str = Field(default="", description="a .keras file or weights file to go on from")
    runs: Path = Path("runs")
    cache: Path = Path(".cache/train")
    threads: int = Field(default=0, ge=0)
    model: ModelConfig = ModelConfig()
    phase: tuple[PhaseConfig, ...] = (
        PhaseConfig(name="head", epochs=20, learning_rate=1e-3),
        PhaseConfig(name="fine", epochs=10, learning_rate=1e-5, open_layers=30),
    )
    augment: AugmentConfig = AugmentConfig()
    balance: BalanceConfig = BalanceConfig()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = [phase.name for phase in self.phase]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"phases {', '.join(names) or '(none)'}: at least one, each with a name of its own")
        if (self.balance.synthetic_bad or self.balance.synthetic_good) and not self.landmarks_model:
            raise ValueError("balance.synthetic_bad and synthetic_good draw masks at landmarks; set landmarks_model")
        return self

    def digest(self) -> str:
        """What names a run: the same configuration and content of its files resume, others start afresh."""
        settings = self.model_dump(mode="json", exclude={"runs", "cache", "threads"})
        for key in FILES:
            path = Path(settings[key])
            if path.is_file():
                settings[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]


def resolve(path: str | Path, base: Path) -> Path:
    """A path of the file: beside the file if it is there, else relative to the working folder."""
    beside = (base / path).resolve()
    return beside if beside.exists() else Path(path)


def read_config(path: Path, **changes: Any) -> TrainConfig:
    """Read and check a file; `changes` replace top-level keys (None leaves a key alone)."""
    config = read_settings(path, TrainConfig, f"no training configuration {path}; train/configs/ has some", **changes)
    base = path.parent
    found: dict[str, Any] = {"dataset": resolve(config.dataset, base)}
    for key in FILES:
        if value := getattr(config, key):
            found[key] = str(resolve(value, base))
    if config.model.weights not in ("", "imagenet"):
        found["model"] = config.model.model_copy(update={"weights": str(resolve(config.model.weights, base))})
    return config.model_copy(update=found)
