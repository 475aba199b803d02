"""What is drawn is kept as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_agent.errors import ConfigError, NotFoundError
from train.people.bank import Bank, write_bank
from train.people.cutout import Cutout


def cutout(front: float = 0.9, visible: float = 0.6) -> Cutout:
    """A white square on nothing; the face is its upper half."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[8:56, 8:56] = 255
    return Cutout(pixels, np.array([8, 8, 56, 32], np.float32), front, visible)


def test_a_bank_gives_back_what_was_written(tmp_path: Path) -> None:
    write_bank(tmp_path, [cutout(), cutout(-0.98, 0.01)])
    bank = Bank(tmp_path)
    assert len(bank) == 2
    assert (bank[0].pixels == cutout().pixels).all()
    assert bank[0].box.tolist() == [8, 8, 56, 32]
    assert (bank[0].is_face, bank[0].is_back) == (True, False)
    assert (bank[1].is_face, bank[1].is_back) == (False, True)


@pytest.mark.parametrize(
    ("front", "visible", "face", "back"),
    [
        (0.9, 0.7, True, False),
        (0.0, 0.3, True, False),  # a full profile
        (0.5, 0.1, False, False),  # under hair
        (-0.6, 0.2, False, False),  # a cheek from behind
        (-0.6, 0.05, False, True),
    ],
)
def test_what_is_seen_decides_what_it_is(front: float, visible: float, face: bool, back: bool) -> None:
    found = cutout(front, visible)
    assert (found.is_face, found.is_back) == (face, back)


@pytest.mark.parametrize(
    "entries",
    [
        "{}",
        "[]",
        "7",
        "[1, 2]",
        '[{"box": [8, 8, 56], "front": 0.9, "visible": 0.6}]',
        '[{"box": [56, 8, 8, 32], "front": 0.9, "visible": 0.6}]',
        '[{"box": [8, 8, 9, 32], "front": 0.9, "visible": 0.6}]',
        '[{"box": [8, 8, 1000000, 32], "front": 0.9, "visible": 0.6}]',
        '[{"box": [8, 8, NaN, 32], "front": 0.9, "visible": 0.6}]',
        '[{"box": [8, 8, 56, 32], "front": "no", "visible": 0.6}]',
        '[{"box": [8, 8, 56, 32], "front": -5, "visible": 0.6}]',
        '[{"box": [8, 8, 56, 32], "front": 0.9, "visible": -0.1}]',
        "[" * 2000,
        "\xff",
    ],
)
def test_an_index_of_something_else_is_one_line(tmp_path: Path, entries: str) -> None:
    write_bank(tmp_path, [cutout()])
    (tmp_path / "people.json").write_text(entries, encoding="latin-1")
    with pytest.raises(ConfigError, match="draw them again"):
        Bank(tmp_path)


def test_other_pixels_make_another_bank(tmp_path: Path) -> None:
    write_bank(tmp_path, [cutout()])
    before = Bank(tmp_path).sha256
    assert Bank(tmp_path).sha256 == before
    pixels = tmp_path / "pixels.bin"
    pixels.write_bytes(bytes(len(pixels.read_bytes())))
    assert Bank(tmp_path).sha256 != before


def test_a_drawing_that_ends_half_way_leaves_no_index_of_others(tmp_path: Path) -> None:
    write_bank(tmp_path, [cutout(), cutout()])

    def people() -> Iterator[Cutout]:
        yield cutout()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bank(tmp_path, people())
    assert len(Bank(tmp_path)) == 2  # nothing was replaced
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.people.bank.json.dumps", lambda _: 1 / 0)  # a kill between the two files
        with pytest.raises(ZeroDivisionError):
            write_bank(tmp_path, [cutout(), cutout()])
    with pytest.raises(NotFoundError):
        Bank(tmp_path)


def test_a_bank_that_is_missing_or_cut_short_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="draw-people"):
        Bank(tmp_path)
    write_bank(tmp_path, [cutout(), cutout()])
    (tmp_path / "pixels.bin").write_bytes((tmp_path / "pixels.bin").read_bytes()[:-100])
    with pytest.raises(ConfigError, match="draw them again"):
        Bank(tmp_path)
