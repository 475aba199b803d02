"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.errors import UnavailableError
from export.build import write
from train.files import DiskError, require_room


def test_room_that_is_not_there_is_said_before_anything_is_written(tmp_path: Path) -> None:
    require_room(tmp_path / "run" / "a.h5", 1)
    with pytest.raises(DiskError, match=r"a\.h5: it takes up to 1000000000\.0 MB, [0-9.]+ are free; free some space"):
        require_room(tmp_path / "run" / "a.h5", 10**15)
    assert list((tmp_path / "run").iterdir()) == []


def test_an_export_that_cannot_be_written_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").mkdir()
    with pytest.raises(UnavailableError, match=r"cannot write .*model\.tflite: Is a directory; free some space or"):
        write(tmp_path / "model.tflite", b"model")
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]
