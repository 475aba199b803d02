"""The network: a truncated MobileNetV2, batch norm folded, a light feature pyramid, one score and one box a cell.

Backbone: MobileNetV2 (Sandler et al., CVPR 2018), alpha 0.35, ImageNet weights. Pyramid: FPN (Lin et al., CVPR 2017) of
depthwise separable convolutions. Heads: anchor-free, one prediction a cell, as FCOS (Tian et al., ICCV 2019) and
YuNet (Wu et al., MIR 2023). Batch norm is folded into the kernels before training, not after: with frozen statistics
it is an affine map that the kernel can take over, and a step costs a third less (24 -> 36 pictures a second).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import keras
import numpy as np
from keras import layers

from edge_agent.errors import ConfigError, NotFoundError
from train.models import load_weights

STRIDES = (8, 16, 32)
HEAD_BLOCKS = 2
_DEPTHWISE_WITHOUT_BLOCKS = 22  # 16 of the backbone, 3 of the pyramid, 3 of the heads
_BACKBONE_CONVOLUTIONS = (
    "Conv1",
    "expanded_conv_project",
    *(f"block_{block}_{part}" for block in range(1, 16) for part in ("expand", "project")),
)
_TAPS = ("block_6_expand_relu", "block_13_expand_relu", "block_15_add")  # the last of each stride
_FIRST_BOX = (0.0, 0.0, 1.2, 1.4)  # faces are first taken for three to four strides wide
_SCORE_PRIOR = 0.01  # RetinaNet (Lin et al., ICCV 2017): start from "no face" nearly everywhere


class Extent(NamedTuple):
    """head_blocks: residual blocks of each stride before its head. filters: of the backbone's convolutions that do not
    have as many as MobileNetV2's, by Keras's names."""

    head_blocks: int = HEAD_BLOCKS
    filters: Mapping[str, int] = {}


USUAL = Extent()


def build_detector(
    channels: int = 64,
    alpha: float = 0.35,
    height: int | None = None,
    width: int | None = None,
    extent: Extent = USUAL,
) -> keras.Model:
    """RGB 0..255 (n, h, w, 3), h and w multiples of 32, to [score, box] maps of each stride. None: any size.

    score: logits (n, h/s, w/s, 1). box: (n, h/s, w/s, 4): offset from the cell's centre, log size; in strides.
    Raises ConfigError where the filters do not fit one another.
    """
    image = keras.Input((height, width, 3), name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="normalise")(image)
    fine, middle, coarse = _folded_backbone(scaled, alpha, extent.filters)
    top = _separable(layers.Conv2D(channels, 1, name="lateral_32")(coarse), channels, "fuse_32")
    mid = _merge(top, layers.Conv2D(channels, 1, name="lateral_16")(middle), channels, "fuse_16")
    low = _merge(mid, layers.Conv2D(channels, 1, name="lateral_8")(fine), channels, "fuse_8")
    outputs: list[Any] = []
    for stride, level in zip(STRIDES, (low, mid, top), strict=True):
        outputs += _head(level, channels, stride, extent.head_blocks)
    model = keras.Model(image, outputs, name="maskwatch_detector")
    for stride in STRIDES:
        layer = model.get_layer(f"box_{stride}")
        layer.set_weights([layer.get_weights()[0], np.array(_FIRST_BOX, np.float32)])
    return model


def extent_in(weights: Path, alpha: float = 0.35) -> Extent:
    """How far the network of a file of weights goes. A file that cannot be read fails where it is loaded."""
    try:
        with h5py.File(weights) as stored:
            names = set(stored["layers"].keys())
            kernels = ["conv2d", *(f"conv2d_{n}" for n in range(1, len(_BACKBONE_CONVOLUTIONS)))]
            found = [int(stored["layers"][name]["vars"]["0"].shape[-1]) for name in kernels]
    except (OSError, KeyError, AttributeError):
        return USUAL
    depthwise = sum(name.startswith("depthwise_conv2d") for name in names)
    base = _mobilenet(alpha)
    usual = {name: base.get_layer(name).filters for name in _BACKBONE_CONVOLUTIONS}
    filters = {name: n for name, n in zip(_BACKBONE_CONVOLUTIONS, found, strict=True) if n != usual[name]}
    return Extent(max(0, (depthwise - _DEPTHWISE_WITHOUT_BLOCKS) // len(STRIDES)), filters)


def head_blocks(model: keras.Model) -> int:
    """How many blocks a network has before each head."""
    return sum(layer.name.startswith(f"head_{STRIDES[0]}_block_") for layer in model.layers if "add" in layer.name)


def grow(small: keras.Model, large: keras.Model) -> None:
    """Copy what a network knows into one with more blocks or filters, which then computes the same (Net2Net, Chen et
    al., ICLR 2016, with new filters that nothing reads yet instead of split ones).

    Raises ConfigError where the other has fewer.
    """
    for layer in small.layers:
        into = large.get_layer(layer.name)
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        pairs = zip(layer.get_weights(), into.get_weights(), strict=True)
        into.set_weights([_grown(known, new, depthwise, layer.name) for known, new in pairs])


def _grown(known: np.ndarray, new: np.ndarray, depthwise: bool, name: str) -> np.ndarray:
    if any(a > b for a, b in zip(known.shape, new.shape, strict=True)):
        raise ConfigError(f"{name} has {known.shape[-1]} filters and cannot shrink to {new.shape[-1]}")
    if known.ndim == 4 and not depthwise:
        new[:, :, :, : known.shape[3]] = 0  # what is known reads nothing new
    new[tuple(slice(side) for side in known.shape)] = known
    return new


def mix(model: keras.Model, other: keras.Model, share: float) -> None:
    """Move the weights by a share towards those of another network of the same extent.

    The mean of networks that were trained on from one another finds more than each (model soups, Wortsman et al., ICML
    2022).
    """
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    model.set_weights([(1 - share) * ours + share * theirs for ours, theirs in pairs])


def split(model: keras.Model, last: str) -> tuple[keras.Model, keras.Model]:
    """Two networks that share the model's weights: picture to what layer `last` gives, and from there to the maps."""
    if last not in {layer.name for layer in model.layers}:
        raise ConfigError(f"stem_up_to is {last!r}, which is no layer of the network; one is block_2_add")
    middle = model.get_layer(last).output
    return keras.Model(model.input, middle, name="stem"), keras.Model(middle, model.outputs, name="trained")


def scale_boxes(model: keras.Model, factor: float) -> None:
    """Make every box larger by the factor, about its centre: sizes are logarithms, so it adds to their biases."""
    for stride in STRIDES:
        layer = model.get_layer(f"box_{stride}")
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel, bias + np.array([0, 0, 1, 1], np.float32) * np.log(factor)])


def load_imagenet(model: keras.Model, weights: Path | None, alpha: float = 0.35) -> None:
    """Copy ImageNet weights into the backbone, batch norm folded. None fetches Keras's own (needs a network)."""
    try:
        base = keras.applications.MobileNetV2(
            input_shape=(224, 224, 3), alpha=alpha, include_top=False, weights="imagenet" if weights is None else None
        )
    except Exception as error:  # a failed download is a bare Exception of Keras
        detail = str(error).splitlines()[0][:200]
        raise NotFoundError(f"cannot get ImageNet weights: {detail}; give a file as --imagenet") from error
    if weights is not None:
        load_weights(base, weights, "--imagenet")
    ours = {layer.name for layer in model.layers}
    for layer in base.layers:
        if layer.name in ours and isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            norm = base.get_layer("bn_Conv1" if layer.name == "Conv1" else _norm_name(layer.name))
            kernel, bias = fold(np.asarray(layer.get_weights()[0]), norm, isinstance(layer, layers.DepthwiseConv2D))
            model.get_layer(layer.name).set_weights([kernel, bias])


def fold(kernel: np.ndarray, norm: keras.layers.BatchNormalization, depthwise: bool) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias that do what the convolution and its batch norm did."""
    gamma, beta, mean, variance = (np.asarray(w) for w in norm.get_weights())
    factor = gamma / np.sqrt(variance + norm.epsilon)
    return kernel * (factor[:, None] if depthwise else factor), beta - mean * factor


def _norm_name(convolution: str) -> str:
    return f"{convolution}_BN"


def _mobilenet(alpha: float) -> keras.Model:
    return keras.applications.MobileNetV2(input_shape=(224, 224, 3), alpha=alpha, include_top=False, weights=None)


def _folded_backbone(image: Any, alpha: float, filters: Mapping[str, int]) -> list[Any]:
    """MobileNetV2 up to the deepest tap, layer for layer by Keras's names, without batch norm."""
    if strange := sorted(set(filters) - set(_BACKBONE_CONVOLUTIONS)):
        raise ConfigError(f"filters names {', '.join(strange)}; known: {', '.join(_BACKBONE_CONVOLUTIONS)}")
    base = _mobilenet(alpha)
    made: dict[str, Any] = {base.layers[0].name: image}
    for layer in base.layers[1:]:
        parents = layer.input if isinstance(layer.input, list) else [layer.input]
        inputs = [made[parent._keras_history.operation.name] for parent in parents]
        if isinstance(layer, layers.BatchNormalization):
            made[layer.name] = inputs[0]
            continue
        config = layer.get_config()
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            config["use_bias"] = True
        if layer.name in filters:
            config["filters"] = filters[layer.name]
        copy = type(layer).from_config(config)
        if len({x.shape[-1] for x in inputs}) > 1:
            raise ConfigError(f"filters: {layer.name} adds {' and '.join(str(x.shape[-1]) for x in inputs)} channels")
        made[layer.name] = copy(inputs if len(inputs) > 1 else inputs[0])
        if layer.name == _TAPS[-1]:
            break
    return [made[tap] for tap in _TAPS]


def _separable(x: Any, channels: int, name: str) -> Any:
    x = layers.DepthwiseConv2D(3, padding="same", name=f"{name}_depthwise")(x)
    x = layers.Conv2D(channels, 1, kernel_initializer="he_normal", name=f"{name}_pointwise")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _merge(coarse: Any, fine: Any, channels: int, name: str) -> Any:
    up = layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_up")(coarse)
    return _separable(layers.Add(name=f"{name}_add")([up, fine]), channels, name)


def _residual(x: Any, channels: int, name: str) -> Any:
    """A separable convolution whose linear end is added to what it was given; at first it adds nothing."""
    spread = keras.initializers.RandomNormal(stddev=float(np.sqrt(2 / 9)))
    y = layers.DepthwiseConv2D(3, padding="same", depthwise_initializer=spread, name=f"{name}_depthwise")(x)
    y = layers.ReLU(6.0, name=f"{name}_relu")(y)
    y = layers.Conv2D(channels, 1, kernel_initializer="zeros", name=f"{name}_pointwise")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def _head(level: Any, channels: int, stride: int, blocks: int) -> list[Any]:
    for number in range(blocks):
        level = _residual(level, channels, f"head_{stride}_block_{number + 1}")
    x = _separable(level, channels, f"head_{stride}")
    bias = float(-np.log((1 - _SCORE_PRIOR) / _SCORE_PRIOR))
    small = keras.initializers.RandomNormal(stddev=0.01)
    score = layers.Conv2D(
        1, 1, kernel_initializer=small, bias_initializer=keras.initializers.Constant(bias), name=f"score_{stride}"
    )(x)
    box = layers.Conv2D(4, 1, kernel_initializer=small, name=f"box_{stride}")(x)
    return [score, box]
