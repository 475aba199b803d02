"""Networks, where they are cut, and what a phase opens."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from edge_agent.errors import ConfigError, NotFoundError
from train.config import ModelConfig, PhaseConfig
from train.models import bridges, build, first_open, halve

TINY = ModelConfig(architecture="mobilenet_v2", alpha=0.35, input_size_px=32, head_units=8)


def phase(**values: object) -> PhaseConfig:
    return PhaseConfig.model_validate({"name": "p", "epochs": 1, "learning_rate": 1e-3, **values})


def pictures(n: int = 4, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("settings", [{}, {"open_layers": 30}, {"open_from": "block_10"}, {"open_layers": -1}])
def test_front_and_tail_together_are_the_whole_model(settings: dict[str, object]) -> None:
    network = build(TINY, 3)
    halves = halve(network, phase(**settings))
    x = pictures()
    whole = network.model.predict_on_batch(x)
    split = halves.tail.predict_on_batch(halves.front.predict_on_batch(x))
    assert np.allclose(whole, split, atol=1e-5)
    assert np.allclose(whole.sum(1), 1, atol=1e-5)


def test_a_bridge_is_never_inside_a_residual_block() -> None:
    backbone = build(TINY, 3).backbone
    names = {backbone.layers[i].name for i in bridges(backbone)}
    assert "block_5_add" in names
    assert "block_5_expand" not in names


def test_only_the_last_layers_are_opened_and_learned_batch_norm_never_moves() -> None:
    network = build(TINY, 3)
    network = type(network)(network.model, network.backbone, network.head, network.normalise, pretrained=True)
    settings = phase(open_layers=30)
    halves = halve(network, settings)
    first = first_open(network.backbone, settings)
    norms = [x for x in network.backbone.layers if isinstance(x, keras.layers.BatchNormalization)]
    before = [np.concatenate([np.ravel(w) for w in x.get_weights()]) for x in norms]
    halves.tail.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")
    features = halves.front.predict_on_batch(pictures(8))
    halves.tail.fit(features, np.eye(3)[np.arange(8) % 3], epochs=2, verbose=0)
    after = [np.concatenate([np.ravel(w) for w in x.get_weights()]) for x in norms]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert not any(x.trainable for x in network.backbone.layers[:first] if x.weights)


def test_a_missing_weights_file_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no weights file .*gone\.h5"):
        build(TINY.model_copy(update={"weights": str(tmp_path / "gone.h5")}), 3)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ConfigError, match="does not fit"):
        build(TINY.model_copy(update={"weights": str(tmp_path / "other.weights.h5")}), 3)


def test_a_layer_that_does_not_exist_cannot_be_opened() -> None:
    with pytest.raises(ConfigError, match="no layer of"):
        first_open(build(TINY, 3).backbone, phase(open_from="block_99"))
