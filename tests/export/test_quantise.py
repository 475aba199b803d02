"""What makes a network kinder to eight bits changes nothing that it computes, and helps where plain ranges fail."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from edge_agent.runtime import open_runtime
from export import convert
from export.balance import balance
from export.dense import as_convolutions
from export.entry import over_float
from export.operators import operators

pytestmark = pytest.mark.slow
SIZE = 16
HIDDEN, SILENT = 24, 10


def pictures(count: int, seed: int) -> np.ndarray:
    """Plain squares, each with noise of its own: what a dense layer sees of them differs."""
    rng = np.random.default_rng(seed)
    plain = rng.integers(20, 236, (count, 1, 1, 3))
    return np.clip(plain + rng.normal(0, 20, (count, SIZE, SIZE, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def lopsided() -> keras.Model:
    """A network whose last kernel is a hundred times larger behind units that never fire, as batch norm leaves it."""
    rng = np.random.default_rng(6)
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 127.5, -1.0),
            layers.Conv2D(8, 3, strides=2, activation="relu6"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(HIDDEN, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    convolution, first, last = (model.layers[i] for i in (1, 3, 4))
    convolution.set_weights([rng.normal(0, 0.5, (3, 3, 3, 8)), rng.uniform(0, 0.5, 8)])
    bias = rng.uniform(0, 0.3, HIDDEN)
    bias[:SILENT] = -50
    first.set_weights([rng.normal(0, 1, (8, HIDDEN)), bias])
    kernel = rng.normal(0, 1, (HIDDEN, 3))
    kernel[:SILENT] *= 100
    hidden = keras.Model(model.inputs, first.output)(pictures(200, 1).astype(np.float32))
    last.set_weights([kernel, -np.mean(np.asarray(hidden) @ kernel, axis=0)])
    return model


def answers(flatbuffer: bytes, given: np.ndarray) -> np.ndarray:
    runtime = open_runtime(flatbuffer)
    return np.concatenate([runtime.run(given[i : i + 1])[0] for i in range(len(given))])


def test_dense_layers_as_convolutions_compute_the_same_and_keep_the_shape(lopsided: keras.Model) -> None:
    given = pictures(40, 2)
    flatbuffer = convert.convert(lopsided, "float32", given).flatbuffer
    changed = as_convolutions(flatbuffer)
    assert "FULLY_CONNECTED" in operators(flatbuffer)
    assert "FULLY_CONNECTED" not in operators(changed)
    np.testing.assert_allclose(answers(changed, given), answers(flatbuffer, given), atol=1e-5)


def test_evened_out_channels_compute_the_same(lopsided: keras.Model) -> None:
    given = pictures(40, 2)
    flatbuffer = as_convolutions(convert.convert(lopsided, "float32", given).flatbuffer)
    np.testing.assert_allclose(answers(balance(flatbuffer, given), given), answers(flatbuffer, given), atol=1e-4)


def test_a_picture_that_enters_over_float_gives_the_same_bits(lopsided: keras.Model, monkeypatch: Any) -> None:
    seen, given = pictures(40, 2), pictures(60, 5)
    monkeypatch.setattr("export.quantise.over_float", lambda flatbuffer: flatbuffer)
    straight = convert.convert(lopsided, "int8", seen).flatbuffer
    changed = over_float(straight)
    assert "DEQUANTIZE" not in operators(straight)
    assert "DEQUANTIZE" in operators(changed)
    np.testing.assert_array_equal(answers(changed, given), answers(straight, given))


def test_only_a_picture_that_is_quantised_first_enters_over_float(lopsided: keras.Model) -> None:
    given = pictures(40, 2)
    for variant in ("float32", "dynamic"):
        flatbuffer = convert.convert(lopsided, variant, given).flatbuffer
        assert over_float(flatbuffer) == flatbuffer
    once = convert.convert(lopsided, "int8", given).flatbuffer
    assert over_float(once) == once


def test_units_that_never_fire_take_no_precision_from_those_that_do(lopsided: keras.Model) -> None:
    seen, given = pictures(120, 3), pictures(200, 4)
    keras_says = convert.predict(lopsided, given)[0]
    apart = {
        recipe: float(
            np.abs(answers(convert.convert(lopsided, "int8", seen, recipe).flatbuffer, given) - keras_says).mean()
        )
        for recipe in ("plain", "balanced")
    }
    assert apart["balanced"] < 0.02
    assert apart["plain"] > 3 * apart["balanced"]
