"""Labels that a trained model finds unlikely. Of train and val alone: test is never looked at, so never edited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from train.check.findings import Finding
from train.crops import exact_crops
from train.data import Sample
from train.evaluate import calibrated, keras_predictor

CHUNK = 512  # crops in memory at a time


def doubtful(samples: Sequence[Sample], run: Path, least: float = 0.05) -> list[Finding]:
    """Faces whose own label has a calibrated probability under `least`, the least likely first.

    The model has seen those of train: what it doubts there in spite of it deserves a look; what it believes proves
    nothing.
    """
    predict, contract = keras_predictor(run)
    kept = [s for s in samples if s.split != "test" and s.side_px >= 24]
    own_label = contract.indices(kept)
    found = []
    for start in range(0, len(kept), CHUNK):
        part = kept[start : start + CHUNK]
        p = calibrated(predict(exact_crops(part, contract.size, contract.margin)), contract.temperature)
        found += [
            (float(p[i, own]), s, contract.labels[int(p[i].argmax())], float(p[i].max()))
            for i, (s, own) in enumerate(zip(part, own_label[start : start + CHUNK], strict=True))
            if p[i, own] < least
        ]
    out = []
    for own, s, other, sure in sorted(found, key=lambda item: item[0]):
        detail = f"labelled {s.label} ({own:.3f}); the model says {other} ({sure:.3f})"
        out.append(Finding("doubtful_label", s.set, s.split, (s.id,), detail, (s.image_path,), s.box))
    return out
