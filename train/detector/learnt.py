"""Which splits a network has seen in its whole life: no figure on one of them is one on unseen pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge_agent.errors import ModelError
from export.source import DETECTOR_RECORD, RECORD_NAME
from train.keep_command import read_settings

KEY = "learnt_splits"


def learnt_splits(weights: Iterable[Path | None]) -> set[str]:
    """What the records beside some files of weights say; "train" where they say nothing. Raises ModelError."""
    found: set[str] = set()
    for path in weights:
        if path is None:
            continue
        told = [read_settings(path.with_name(name)).get(KEY) for name in (DETECTOR_RECORD, RECORD_NAME)]
        for splits in told:
            if splits is not None and not (isinstance(splits, list) and all(isinstance(s, str) for s in splits)):
                raise ModelError(f"the record beside {path} has {KEY} {splits!r}; give a list of names")
        found |= {split for splits in told for split in splits or []} or {"train"}
    return found
