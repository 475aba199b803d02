"""The detector's network: folded, grown, split, mixed, scaled; the same maps where they should be the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_agent.errors import ConfigError

keras = pytest.importorskip("keras", reason="training needs Keras")
h5py = pytest.importorskip("h5py")

from train.detector.network import (  # noqa: E402
    Extent,
    build_detector,
    extent_in,
    fold,
    grow,
    load_imagenet,
    mix,
    scale_boxes,
    split,
)
from train.detector.pointwise import with_products  # noqa: E402

SIZE = 128


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_detector(channels=16)


def test_batch_norm_folded_into_a_kernel_gives_the_same_picture() -> None:
    rng = np.random.default_rng(0)
    norm = keras.layers.BatchNormalization(epsilon=1e-3)
    norm.build((None, 4, 4, 3))
    norm.set_weights([rng.uniform(0.5, 2, 3), rng.normal(size=3), rng.normal(size=3), rng.uniform(0.5, 2, 3)])
    kernel, x = rng.normal(size=(1, 1, 5, 3)), rng.normal(size=(2, 4, 4, 5))
    folded, bias = fold(kernel, norm, depthwise=False)
    assert x @ folded[0, 0] + bias == pytest.approx(np.asarray(norm(x @ kernel[0, 0], training=False)), abs=1e-4)


@pytest.mark.shared_data
def test_the_folded_backbone_sees_what_mobilenet_sees(shared: Path) -> None:
    weights = shared / "weights" / "mobilenet_v2_0.35_224_imagenet_no_top.weights.h5"
    base = keras.applications.MobileNetV2(input_shape=(96, 96, 3), alpha=0.35, include_top=False, weights=None)
    base.load_weights(weights)
    ours = build_detector()
    load_imagenet(ours, weights)
    picture = np.random.default_rng(0).uniform(0, 255, (1, 96, 96, 3)).astype(np.float32)
    tap = "block_13_expand_relu"
    wanted = keras.Model(base.input, base.get_layer(tap).output)(picture / 127.5 - 1, training=False)
    got = keras.Model(ours.input, ours.get_layer(tap).output)(picture)
    assert np.asarray(got) == pytest.approx(np.asarray(wanted), abs=2e-3)


def test_boxes_are_scaled_about_their_centres() -> None:
    model = build_detector(channels=16)
    picture = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    before = [np.array(map_) for map_ in model(picture)]
    scale_boxes(model, 0.8)
    for old, new in zip(before, model(picture), strict=True):
        change = np.asarray(new) - old
        assert change[..., :2] == pytest.approx(0, abs=1e-6)
        assert change[..., 2:] == pytest.approx(np.log(0.8), abs=1e-6)


def test_stem_and_trained_part_make_the_whole(network: keras.Model) -> None:
    stem, trained = split(network, "block_3_project")
    picture = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    for part, whole in zip(trained(stem(picture)), network(picture), strict=True):
        assert np.asarray(part) == pytest.approx(np.asarray(whole), abs=1e-5)


WIDER = {"block_1_project": 12, "block_2_project": 12, "block_3_project": 24, "block_4_expand": 120}
WIDER |= {"block_4_project": 24, "block_5_project": 24, "block_6_expand": 112}


@pytest.mark.parametrize("extent", [Extent(2), Extent(1, WIDER)])
def test_a_larger_network_finds_the_same_at_first(extent: Extent, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    small, large = build_detector(channels=16, extent=Extent(0)), build_detector(channels=16, extent=extent)
    for layer in small.layers:  # with biases, as a trained one has
        layer.set_weights([w + np.random.default_rng(2).normal(0, 0.02, w.shape) for w in layer.get_weights()])
    grow(small, large)
    picture = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    for ours, theirs in zip(large(picture), small(picture), strict=True):
        assert np.asarray(ours) == pytest.approx(np.asarray(theirs), abs=1e-4)
    for model, size in ((small, Extent(0)), (large, extent)):
        model.save_weights(tmp_path / "some.weights.h5")
        assert extent_in(tmp_path / "some.weights.h5") == size


def test_what_a_wider_layer_learns_reaches_the_maps() -> None:
    tensorflow = pytest.importorskip("tensorflow")
    keras.utils.set_random_seed(1)
    small, large = build_detector(channels=16, extent=Extent(0)), build_detector(channels=16, extent=Extent(0, WIDER))
    grow(small, large)
    with tensorflow.GradientTape() as tape:
        total = sum(tensorflow.reduce_sum(out) for out in large(np.full((1, 64, 64, 3), 90, np.float32)))
    rows = tape.gradient(total, large.get_layer("block_3_expand").kernel)[:, :, 8:, :]
    assert float(tensorflow.reduce_max(tensorflow.abs(rows))) > 0


def test_a_network_does_not_shrink() -> None:
    fewer = dict.fromkeys(("block_3_project", "block_4_project", "block_5_project"), 8)
    with pytest.raises(ConfigError, match="block_3_project has 16 filters and cannot shrink to 8"):
        grow(build_detector(16), build_detector(16, extent=Extent(2, fewer)))


@pytest.mark.parametrize(
    ("filters", "reason"),
    [({"block_99": 8}, "filters names block_99; known: Conv1"), ({"block_2_project": 12}, "block_2_add adds 8 and 12")],
)
def test_filters_that_make_no_network_are_refused(filters: dict[str, int], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        build_detector(16, extent=Extent(2, filters))


@pytest.mark.parametrize("layers", [None, [1.0, 2.0]])
def test_a_file_without_layers_is_left_to_whoever_loads_it(tmp_path: Path, layers: list[float] | None) -> None:
    with h5py.File(tmp_path / "strange.weights.h5", "w") as file:
        if layers:
            file["layers"] = layers
    assert extent_in(tmp_path / "strange.weights.h5") == extent_in(tmp_path / "none.weights.h5") == Extent()


def test_products_give_the_same_maps_and_the_same_gradients(network: keras.Model) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    fast = with_products(network)
    picture = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    gradients = []
    for model in (network, fast):
        with tensorflow.GradientTape() as tape:
            maps = model(picture)
            loss = sum(tensorflow.reduce_mean(tensorflow.square(part)) for part in maps)
        gradients.append((maps, tape.gradient(loss, network.trainable_variables)))
    assert not any(isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1) for layer in fast.layers)
    for ours, theirs in zip(gradients[1][0], gradients[0][0], strict=True):
        assert np.asarray(ours) == pytest.approx(np.asarray(theirs), abs=1e-4)
    for ours, theirs in zip(gradients[1][1], gradients[0][1], strict=True):
        assert np.asarray(ours) == pytest.approx(np.asarray(theirs), rel=1e-2, abs=1e-4)


def test_a_network_is_moved_towards_another() -> None:
    keras.utils.set_random_seed(1)
    ours, theirs = build_detector(16), build_detector(16)
    before, target = ours.get_layer("score_8").get_weights()[0], theirs.get_layer("score_8").get_weights()[0]
    mix(ours, theirs, 0.0)
    assert ours.get_layer("score_8").get_weights()[0] == pytest.approx(before)
    mix(ours, theirs, 0.25)
    assert ours.get_layer("score_8").get_weights()[0] == pytest.approx(0.75 * before + 0.25 * target, abs=1e-6)
    mix(ours, theirs, 1.0)
    picture = np.random.default_rng(1).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    for a, b in zip(theirs(picture), ours(picture), strict=True):
        assert np.array(b) == pytest.approx(np.array(a), abs=1e-4)
