"""The bootstrap: known answers, pairing, groups."""

import numpy as np
import pytest

from train.runs import stats


def faces(n: int, seed: int = 0) -> tuple[list[int], list[str]]:
    truth = np.random.default_rng(seed).integers(0, 3, n).tolist()
    return truth, [f"photo-{i // 2}" for i in range(n)]


def called_with(truth: list[int], wrong: int, seed: int) -> list[int]:
    """The truth with some answers replaced by the next label."""
    out = list(truth)
    for i in np.random.default_rng(seed).choice(len(truth), wrong, replace=False):
        out[i] = (out[i] + 1) % 3
    return out


def test_metrics_match_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, f1_score

    truth, groups = faces(200)
    called = called_with(truth, 37, 1)
    whole = stats.by_group(truth, called, groups, 3).sum(0)[None]
    assert stats.macro_f1(whole)[0] == pytest.approx(f1_score(truth, called, average="macro"))
    assert stats.accuracy(whole)[0] == pytest.approx(accuracy_score(truth, called))
    assert stats.recall_of(2)(whole)[0] == pytest.approx(
        np.mean([c == 2 for t, c in zip(truth, called, strict=True) if t == 2])
    )


def test_a_model_against_itself_wins_nothing() -> None:
    truth, groups = faces(100)
    matrices = stats.by_group(truth, called_with(truth, 9, 1), groups, 3)
    difference = stats.paired_difference(matrices, matrices)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert difference.short_of(0.0) == 0.0


def test_a_clearly_better_model_wins_by_more_than_noise() -> None:
    truth, groups = faces(400)
    good, bad = (stats.by_group(truth, called_with(truth, wrong, 1), groups, 3) for wrong in (10, 80))
    difference = stats.paired_difference(good, bad)
    assert difference.low > 0.1
    assert difference.share_better > 0.99
    assert difference.groups == 200


def test_pairing_makes_the_interval_narrower_than_two_separate_ones() -> None:
    truth, groups = faces(300)
    first = called_with(truth, 60, 1)
    second = list(first)
    for i in [i for i in range(300) if first[i] != truth[i]][:12]:  # the same mistakes, twelve fewer
        second[i] = truth[i]
    a, b = (stats.by_group(truth, called, groups, 3) for called in (second, first))
    paired = stats.paired_difference(a, b)
    single = stats.interval(a, stats.macro_f1)
    assert paired.low > 0
    assert paired.high - paired.low < (single.high - single.low) * 0.75


def test_an_interval_covers_the_true_accuracy_about_19_times_in_20() -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        right = rng.random(150) < 0.9
        matrices = stats.by_group([0] * 150, (~right).astype(int).tolist(), [str(i) for i in range(150)], 2)
        found = stats.interval(matrices, stats.accuracy, resamples=400)
        hits += found.low <= 0.9 <= found.high
    assert 0.89 <= hits / 200 <= 0.99


def test_faces_of_one_photograph_are_drawn_together() -> None:
    truth, called = [0] * 100, [0] * 50 + [1] * 50
    alone = stats.interval(stats.by_group(truth, called, [str(i) for i in range(100)], 2), stats.accuracy)
    together = stats.interval(stats.by_group(truth, called, [str(i // 25) for i in range(100)], 2), stats.accuracy)
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_other_faces_on_one_side_are_refused() -> None:
    truth, groups = faces(50)
    matrices = stats.by_group(truth, truth, groups, 3)
    with pytest.raises(ValueError, match="same faces"):
        stats.paired_difference(matrices, matrices[1:])


def test_no_faces_give_no_figure() -> None:
    found = stats.interval(np.zeros((0, 3, 3)), stats.macro_f1)
    assert found.n == 0
    assert str(found) == "-"
