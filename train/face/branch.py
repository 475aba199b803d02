"""The face branch: two separable convolutions on a map inside the classifier's backbone, which stays as it is.

What the classifier says of masks does not change, and the device runs the backbone once for both answers.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from edge_agent.errors import ConfigError, ModelError
from export.source import FACE_BRANCH, RECORD_NAME, read_face_branch
from train.files import write_atomically


def build_branch(shape: tuple[int, int, int], filters: int) -> keras.Model:
    """A map (n, rows, columns, channels) to the probability of a face (n, 1)."""
    given = keras.Input(shape, name="map")
    x = layers.SpatialDropout2D(0.1, name="map_dropout")(given)
    for number in range(2):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depthwise_{number}")(x)
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"pointwise_{number}")(x)
        x = layers.BatchNormalization(name=f"norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    out = layers.Dense(1, activation="sigmoid", kernel_regularizer=keras.regularizers.L2(1e-4), name="face")(x)
    return keras.Model(given, out, name="face_branch")


def trunk(classifier: keras.Model, layer: str) -> keras.Model:
    """RGB 0..255 (n, s, s, 3) to the map that the branch reads. Raises ConfigError where the layer gives none."""
    below, backbone = _parts(classifier, layer)
    if layer not in _maps(classifier):
        raise ConfigError(f"the layer {layer!r} of this classifier gives no map of rows and columns; name another")
    picture = keras.Input(classifier.input.shape[1:])
    inside = keras.Model(backbone.input, backbone.get_layer(layer).output)
    return keras.Model(picture, inside(_through(below, picture), training=False))


def attach(classifier: keras.Model, layer: str, branch: keras.Model) -> keras.Model:
    """A classifier with two outputs: softmax (n, labels), and the probability of a face (n, 1)."""
    below, backbone = _parts(classifier, layer)
    above = classifier.layers[classifier.layers.index(backbone) + 1 :]
    picture = keras.Input(classifier.input.shape[1:], name="rgb")
    inside = keras.Model(backbone.input, [backbone.output, backbone.get_layer(layer).output])
    features, between = inside(_through(below, picture), training=False)
    return keras.Model(picture, [_through(above, features), branch(between)], name="maskwatch_classifier")


def _through(chain: list[Any], x: Any) -> Any:
    for layer in chain:
        x = layer(x)
    return x


def _parts(classifier: keras.Model, layer: str) -> tuple[list[Any], keras.Model]:
    """What lies below the backbone, and the backbone. Raises ConfigError for another kind of model."""
    for number, part in enumerate(classifier.layers):
        if isinstance(part, keras.Model) and any(inner.name == layer for inner in part.layers):
            return classifier.layers[1:number], part
    raise ConfigError(f"this classifier has no backbone with a layer {layer!r}; name one of its layers")


def _maps(classifier: keras.Model) -> dict[str, int]:
    """The layers inside the classifier's parts that give one map of rows and columns, and its channels."""
    inside = [inner for part in classifier.layers if isinstance(part, keras.Model) for inner in part.layers]
    given = [(inner.name, inner.output) for inner in inside]
    return {name: int(out.shape[-1]) for name, out in given if not isinstance(out, list) and len(out.shape) == 4}


def save(folder: Path, branch: keras.Model) -> str:
    """Write its weights, in the order of its layers, beside the classifier's; their SHA-256."""
    out = io.BytesIO()
    np.savez(out, **{f"{number:02d}": weight for number, weight in enumerate(branch.get_weights())})
    content = out.getvalue()
    with write_atomically(folder / FACE_BRANCH) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def with_branch(classifier: keras.Model, folder: Path, record: dict[str, Any]) -> keras.Model:
    """The classifier with the branch that lies in `folder`, as its record says. Raises NotFoundError or ModelError."""
    content = read_face_branch(folder, record)
    try:
        with np.load(io.BytesIO(content)) as arrays:
            weights = [arrays[name] for name in sorted(arrays.files)]
        layer, filters = str(record["face"].get("layer")), int(record["face"]["filters"])
        _check_layer(classifier, folder, layer, int(weights[0].shape[2]))  # of the first convolution's kernel
        branch = build_branch(trunk(classifier, layer).output.shape[1:], filters)
        branch.set_weights(weights)
    except (LookupError, TypeError, ValueError, OverflowError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{folder / FACE_BRANCH} is of another branch: {str(error)[:160]}; train it again") from error
    return attach(classifier, layer, branch)


def _check_layer(classifier: keras.Model, folder: Path, layer: str, channels: int) -> None:
    """Is this the map that the branch in `folder` learnt from, as far as can be told? Raises ModelError."""
    maps = _maps(classifier)
    if maps.get(layer) == channels:
        return
    found = f"whose map has {maps[layer]} channels" if layer in maps else "and its network has no such map"
    fitting = [name for name, count in maps.items() if count == channels]
    near = ", ".join(difflib.get_close_matches(layer, fitting, 3, 0)) or "no layer of it"
    raise ModelError(
        f"{folder / RECORD_NAME}: its face.layer is {layer!r}, {found}; {FACE_BRANCH} reads {channels} channels, which "
        f"{near} would give; put back the layer it was trained on, or run train-face again"
    )
