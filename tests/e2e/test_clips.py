"""Real faces: clips whose people are known, through the agent with the shipped models."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from clips import WORN, truths, watch


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize("clip", ["woman_masked.mp4", "man_bare.mp4", "woman_puts_on.mp4"])
def test_one_person_is_one_visit_with_the_label_worn(shared: Path, clip: str) -> None:
    folder = shared / "data" / "clips"
    found = watch(folder / clip, truths(folder)[clip])
    assert (found.extra, found.missed, found.cannot_tell) == (0, 0, 0)
    assert {label: n for label, n in found.visits.items() if n} == WORN[clip]


@pytest.mark.shared_data
@pytest.mark.slow
def test_a_cut_ends_the_visits_before_it_and_no_label_is_wrong(shared: Path) -> None:
    folder = shared / "data" / "clips"
    found = watch(folder / "news_mixed.mp4", truths(folder)["news_mixed.mp4"])
    assert (found.extra, found.missed, found.wrong) == (0, 0, 0)
