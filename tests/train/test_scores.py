"""Scores, calibration, the threshold of "can't tell"."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.scores import (
    bootstrap,
    confusion,
    ece,
    fit_temperature,
    macro_f1,
    per_class,
    softened,
    threshold_at_risk,
)


def test_scores_of_a_worked_example() -> None:
    truth, found = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    table = confusion(truth, found, 3)
    assert table.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert per_class(table)[:, 1].tolist() == pytest.approx([2 / 3, 1, 0])
    assert macro_f1(truth, found, 3) == pytest.approx((2 * 2 / 6 + 2 * 2 / 5 + 0) / 3)


def test_a_class_that_does_not_occur_does_not_count() -> None:
    truth = np.array([1, 1, 1])
    assert macro_f1(truth, truth, 3) == 1.0


def test_overconfident_predictions_get_a_temperature_above_one_and_a_smaller_error() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 4000)
    logits = rng.normal(0, 1, (4000, 3)) + 1.5 * np.eye(3)[truth]
    sharp = softened(logits, 1 / 3)
    temperature = fit_temperature(sharp, truth)
    calm = softened(np.log(np.clip(sharp.astype(float), 1e-7, 1)), temperature)
    assert temperature > 1.5
    assert ece(calm, truth) < 0.5 * ece(sharp, truth)


def test_the_threshold_keeps_the_risk_it_promises() -> None:
    p = np.array([[0.99, 0.01], [0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], np.float32)
    found = threshold_at_risk(p, np.array([0, 0, 1, 0]), 0.3)
    assert found.coverage == 1.0
    assert found.risk == 0.25
    strict = threshold_at_risk(p, np.array([0, 0, 1, 0]), 0.1)
    assert (strict.coverage, strict.threshold) == (0.5, pytest.approx(0.9))


def test_no_threshold_is_good_enough_for_a_model_that_is_always_wrong() -> None:
    p = np.array([[0.9, 0.1]] * 4, np.float32)
    assert threshold_at_risk(p, np.ones(4, np.int64), 0.01).coverage == 0.0


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.floats(0.2, 5), st.integers(0, 1000))
def test_softening_keeps_the_order_and_the_sum(n: int, temperature: float, seed: int) -> None:
    p = softened(np.random.default_rng(seed).normal(0, 2, (n, 3)), 1.0)
    q = softened(np.log(p.astype(np.float64)), temperature)
    assert np.allclose(q.sum(1), 1, atol=1e-5)
    assert (q.argmax(1) == p.argmax(1)).all()


def test_a_bootstrap_interval_holds_the_figure_it_is_of() -> None:
    rows = np.array([[1]] * 90 + [[0]] * 10)
    low, high = bootstrap(rows, lambda r: r.mean(), 500)
    assert low < 0.9 < high
    assert high - low < 0.2
