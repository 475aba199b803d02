"""Networks: one function that returns the model and its backbone. Keras only, so that any of its backends trains them.

The model takes RGB 0..255 (n, s, s, 3) and gives softmax (n, labels); its normalisation is a layer of its own.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import layers

from edge_agent.errors import ConfigError, NotFoundError
from train.config import ModelConfig, PhaseConfig


@dataclass(frozen=True, slots=True)
class Network:
    """model: the whole. backbone: pictures to feature maps. head: those to probabilities.

    normalise: 0..255 to what the backbone expects.
    """

    model: keras.Model
    backbone: keras.Model
    head: keras.Model
    normalise: keras.Layer
    pretrained: bool = True


def build(config: ModelConfig, labels: int) -> Network:
    """A network as configured, with its backbone's weights loaded."""
    size = config.input_size_px
    backbone, normalise = _backbone(config)
    features = keras.Input(backbone.output.shape[1:], name="features")
    x = layers.GlobalAveragePooling2D(name="pool")(features)
    if config.head_units:
        x = layers.Dense(config.head_units, activation="relu", name="dense")(x)
        x = layers.BatchNormalization(momentum=0.9, name="norm")(x)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    head = keras.Model(features, layers.Dense(labels, activation="softmax", name="probabilities")(x), name="head")
    picture = keras.Input((size, size, 3), name="rgb")
    out = head(backbone(normalise(picture), training=False))
    return Network(
        keras.Model(picture, out, name="maskwatch_classifier"), backbone, head, normalise, bool(config.weights)
    )


def _backbone(config: ModelConfig) -> tuple[keras.Model, keras.Layer]:
    shape = (config.input_size_px, config.input_size_px, 3)
    weights = "imagenet" if config.weights == "imagenet" else None
    normalise = layers.Rescaling(1 / 127.5, -1.0, name="normalise")
    try:
        if config.architecture == "mobilenet_v2":
            backbone = keras.applications.MobileNetV2(
                input_shape=shape, alpha=config.alpha, include_top=False, weights=weights
            )
        elif config.architecture == "efficientnet":
            backbone = keras.applications.EfficientNetV2B0(
                input_shape=shape, include_top=False, weights=weights, include_preprocessing=False
            )
            # ImageNet's mean and variance: what the weights of the B variants were trained on
            mean, deviation = ([255 * v for v in part] for part in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
            normalise = layers.Normalization(mean=mean, variance=[v**2 for v in deviation], name="normalise")
        else:
            backbone = small_cnn(shape, config.alpha)
    except Exception as error:  # a failed download is a bare Exception of Keras
        detail = str(error).splitlines()[0][:200]
        raise NotFoundError(
            f"cannot get the backbone {config.architecture}: {detail}; give model.weights a file"
        ) from error
    if config.weights and not weights:
        load_weights(backbone, Path(config.weights))
    return backbone, normalise


def load_weights(model: keras.Model, path: Path, key: str = "model.weights") -> None:
    """Weights from a file, or an error that names it and the key of the configuration that names the file."""
    if not path.is_file():
        also = ', to "imagenet",' if key == "model.weights" else ""
        raise NotFoundError(f'no weights file {path}; set {key} to a file{also} or to "" for none')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # layer by layer, what the error says once
            model.load_weights(str(path))
    except (ValueError, OSError, KeyError, TypeError, RuntimeError) as error:
        named = "" if path.name.endswith(".weights.h5") else "; Keras reads NAME.weights.h5 only"
        raise ConfigError(
            f"{path} does not fit this {model.name}: {str(error).splitlines()[0][:200]}{named}"
        ) from error


def small_cnn(shape: tuple[int, int, int], alpha: float) -> keras.Model:
    """Four separable blocks: small enough to train from nothing in a test or on a laptop."""
    picture = keras.Input(shape)
    x = picture
    for number, width in enumerate((16, 32, 64, 128)):
        filters = max(4, int(width * alpha))
        conv = layers.Conv2D if number == 0 else layers.SeparableConv2D
        x = conv(filters, 3, strides=2, padding="same", use_bias=False, name=f"block_{number}_conv")(x)
        x = layers.BatchNormalization(momentum=0.8, name=f"block_{number}_norm")(x)
        x = layers.ReLU(name=f"block_{number}_relu")(x)
    return keras.Model(picture, x, name="small_cnn")


def bridges(backbone: keras.Model) -> list[int]:
    """Indices of layers through whose output everything above must pass: where a network may be cut in two."""
    order = {layer.name: number for number, layer in enumerate(backbone.layers)}
    furthest = [0] * len(backbone.layers)
    for number, layer in enumerate(backbone.layers):
        for node in layer._inbound_nodes[:1]:
            for parent in node.parent_nodes:
                below = order[parent.operation.name]
                furthest[below] = max(furthest[below], number)
    reach, out = 0, []
    for number in range(len(backbone.layers)):
        if reach <= number:
            out.append(number)
        reach = max(reach, furthest[number])
    return out


def first_open(backbone: keras.Model, phase: PhaseConfig) -> int:
    """Index of the first trained layer of the backbone; its length where all is frozen."""
    count = len(backbone.layers)
    if phase.open_from:
        for number, layer in enumerate(backbone.layers):
            if layer.name.startswith(phase.open_from):
                return number
        raise ConfigError(
            f"phase {phase.name}: open_from is {phase.open_from!r}; no layer of {backbone.name} starts with it"
        )
    return 0 if phase.open_layers < 0 else max(0, count - phase.open_layers)


@dataclass(frozen=True, slots=True)
class Halves:
    """front: RGB 0..255 to cached features. tail: those to probabilities. cut: which layer lies between.

    cut is a position: names of input layers are counted up by Keras, and would differ from one training to the next.
    """

    front: keras.Model
    tail: keras.Model
    cut: str


def halve(network: Network, phase: PhaseConfig) -> Halves:
    """Cut at the last bridge below the first trained layer, and open what this phase trains."""
    backbone = network.backbone
    first = first_open(backbone, phase)
    cut = max((number for number in bridges(backbone) if number < max(first, 1)), default=0)
    for number, layer in enumerate(backbone.layers):
        # a frozen BatchNormalization runs in inference mode; `training=False` at the call does not, fit overrides it
        learned = network.pretrained and isinstance(layer, layers.BatchNormalization)
        layer.trainable = number >= first and not learned
    size = backbone.input.shape[1:]
    picture = keras.Input(size)
    if cut >= len(backbone.layers) - 1:
        pooled = network.head.get_layer("pool").output
        front_out = layers.GlobalAveragePooling2D()(backbone(network.normalise(picture), training=False))
        top = keras.Model(pooled, network.head.output)
        given = keras.Input(pooled.shape[1:])
        return Halves(keras.Model(picture, front_out), keras.Model(given, top(given)), "pool")
    middle = backbone.layers[cut].output
    below, above = keras.Model(backbone.input, middle), keras.Model(middle, backbone.output)
    front = keras.Model(picture, below(network.normalise(picture), training=False))
    given = keras.Input(middle.shape[1:])
    return Halves(front, keras.Model(given, network.head(above(given, training=False))), f"layer {cut}")


def parameters(model: keras.Model) -> int:
    return int(model.count_params())


def describe(config: ModelConfig) -> dict[str, Any]:
    """What a record says of a network, so that `build` makes it again for its weights."""
    return config.model_dump(include={"architecture", "alpha", "input_size_px", "head_units"})
