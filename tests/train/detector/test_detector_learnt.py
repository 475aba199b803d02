"""What a network has seen is known from the records beside its weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.errors import ModelError
from train.detector.learnt import learnt_splits


def test_what_was_learnt_before_stays_learnt(tmp_path: Path) -> None:
    start, other = tmp_path / "average.weights.h5", tmp_path / "other" / "detector.weights.h5"
    assert learnt_splits([None]) == set()
    assert learnt_splits([start, None]) == {"train"}
    (tmp_path / "detector.json").write_text('{"learnt_splits": ["train", "val"]}')
    assert learnt_splits([start]) == {"train", "val"}
    other.parent.mkdir()
    (other.parent / "model.json").write_text('{"learnt_splits": ["val"]}')
    assert learnt_splits([other]) == {"val"}
    assert learnt_splits([start, other]) == {"train", "val"}


@pytest.mark.parametrize("splits", ["val", 5, [1], {"a": 1}])
def test_a_record_that_names_no_splits_is_one_line(tmp_path: Path, splits: object) -> None:
    (tmp_path / "detector.json").write_text(json.dumps({"learnt_splits": splits}))
    with pytest.raises(ModelError, match="give a list of names"):
        learnt_splits([tmp_path / "average.weights.h5"])
