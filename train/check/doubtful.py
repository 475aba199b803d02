"""Labels that a trained model finds unlikely. Of train and val alone: test is never looked at, so never edited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from train.check.findings import Finding
from train.crops import exact_crops
from train.data import Sample
from train.evaluate import calibrated, keras_predictor


def doubtful(samples: Sequence[Sample], run: Path, cache: Path | None, least: float = 0.05) -> list[Finding]:
    """Faces whose own label has a calibrated probability under `least`, the least likely first.

    The model has seen those of train: what it doubts there in spite of it deserves a look; what it believes proves
    nothing.
    """
    predict, contract = keras_predictor(run)
    kept = [s for s in samples if s.split != "test" and s.side_px >= 24]
    crops = exact_crops(kept, contract.size, contract.margin, cache)
    p = calibrated(predict(crops), contract.temperature)
    own = p[np.arange(len(kept)), [contract.labels.index(s.label) for s in kept]]
    out = []
    for at in np.argsort(own):
        if own[at] >= least:
            break
        s, other = kept[at], contract.labels[int(p[at].argmax())]
        detail = f"labelled {s.label} ({own[at]:.3f}); the model says {other} ({p[at].max():.3f})"
        out.append(Finding("doubtful_label", s.set, s.split, (s.id,), detail, (s.image_path,), s.box))
    return out
