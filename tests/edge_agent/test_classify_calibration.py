"""Temperature scaling of probabilities."""

import numpy as np

from edge_agent.classify import calibrated


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def test_temperature_divides_the_logits_that_the_network_had():
    logits = np.array([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]])
    np.testing.assert_allclose(calibrated(softmax(logits), 2.5), softmax(logits / 2.5), atol=1e-5)


def test_temperature_one_changes_nothing():
    probabilities = softmax(np.array([[3.0, -3.0, 0.0]]))
    np.testing.assert_allclose(calibrated(probabilities, 1.0), probabilities, atol=1e-6)


def test_an_output_of_exactly_zero_gives_a_finite_row_that_adds_up_to_one():
    row = calibrated(np.array([[1.0, 0.0, 0.0]], np.float32), 1.7)
    assert np.isfinite(row).all()
    np.testing.assert_allclose(row.sum(axis=1), 1, atol=1e-6)


def test_no_crops_give_no_rows():
    assert calibrated(np.zeros((0, 3), np.float32), 2.0).shape == (0, 3)
