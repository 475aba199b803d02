"""Golden inputs: pictures with the outputs that the exporting machine saw, run again before a model goes live.

Inputs are stored small and enlarged by repetition. Of each output every `step`-th value is kept, so that the maps of a
detector fit too. A difference is a share of that output's own span over all golden inputs, so that one tolerance serves
probabilities and raw maps alike.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ModelError
from edge_agent.model_file.container import WRITTEN_AT
from edge_agent.records import F32, U8

SHRUNK = 4
LARGEST_MEMBER_BYTES = 16_777_216


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs and what is expected of them.

    small: uint8 RGB (n, ceil(height / 4), ceil(width / 4), 3).
    expected: for each output tensor float32 (n, kept).
    labels: the classes in the order of the outputs, once more, so that no one swaps them elsewhere unseen.
    """

    small: U8
    expected: tuple[F32, ...]
    labels: tuple[str, ...]
    step: int = 1

    def inputs(self, width: int, height: int) -> U8:
        """What the network is fed: uint8 RGB (n, height, width, 3)."""
        return enlarge(self.small, width, height)


@dataclass(frozen=True, slots=True)
class Differences:
    """How far outputs are from the golden ones, as shares of each output's span; the worst output tensor counts."""

    largest: float
    mean: float


def enlarge(small: U8, width: int, height: int) -> U8:
    """Pictures enlarged four times by repetition and cut to size."""
    return small.repeat(SHRUNK, axis=1).repeat(SHRUNK, axis=2)[:, :height, :width]


def kept(output: F32, step: int) -> F32:
    """The values of one output (n, ...) that are kept: float32 (n, kept)."""
    flat = np.asarray(output, dtype=np.float32).reshape(len(output), -1)
    return flat[:, ::step]


def differences(golden: Golden, outputs: list[F32]) -> Differences:
    """How far `outputs`, one for each output tensor over all golden inputs, are from what is expected."""
    largest, mean = 0.0, 0.0
    for expected, output in zip(golden.expected, outputs, strict=True):
        span = max(float(np.ptp(expected)), 1e-6)
        apart = np.abs(kept(output, golden.step) - expected) / span
        largest, mean = max(largest, float(apart.max())), max(mean, float(apart.mean()))
    return Differences(largest, mean)


def run_golden(golden: Golden, width: int, height: int, run: Callable[[U8], list[F32]]) -> Differences:
    """Run every golden input through `run`, which takes uint8 (1, height, width, 3) and gives each output (1, ...)."""
    inputs = golden.inputs(width, height)
    each = [run(inputs[i : i + 1]) for i in range(len(inputs))]
    if any(len(outputs) != len(golden.expected) for outputs in each):
        raise ModelError(f"the network has {len(each[0])} outputs, its golden inputs {len(golden.expected)}")
    outputs = [np.concatenate(column) for column in zip(*each, strict=True)]
    for output, expected in zip(outputs, golden.expected, strict=True):
        if kept(output, golden.step).shape != expected.shape or not np.isfinite(output).all():
            raise ModelError("the network's outputs do not have the shape of the golden ones, or are not numbers")
    return differences(golden, outputs)


def to_bytes(golden: Golden) -> bytes:
    """The golden set as an .npz that numpy opens; the same set gives the same bytes."""
    arrays: dict[str, NDArray[np.generic]] = {
        "inputs": golden.small,
        "labels": np.frombuffer("\n".join(golden.labels).encode(), dtype=np.uint8),
        "step": np.array([golden.step], dtype=np.int64),
    }
    arrays |= {f"output_{i}": expected for i, expected in enumerate(golden.expected)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)  # type: ignore[no-untyped-call]
            info = zipfile.ZipInfo(f"{name}.npy", WRITTEN_AT)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue(), compresslevel=9)
    return buffer.getvalue()


def from_bytes(data: bytes) -> Golden:
    """Read what `to_bytes` wrote. Raises ValueError or zipfile's errors; sizes are checked before memory is taken."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        if len(infos) != len(archive.infolist()) or not 4 <= len(infos) <= 35:
            raise ValueError("golden.npz has a strange number of members")
        outputs = [f"output_{i}.npy" for i in range(len(infos) - 3)]
        if set(infos) != {"inputs.npy", "labels.npy", "step.npy", *outputs}:
            raise ValueError("golden.npz has members that do not belong there")
        if sum(info.file_size for info in infos.values()) > LARGEST_MEMBER_BYTES:
            raise ValueError("golden.npz unpacks to too much")
        arrays = {name: _array(archive, info) for name, info in infos.items()}
    small, step = arrays["inputs.npy"], arrays["step.npy"]
    if small.dtype != np.uint8 or small.ndim != 4 or small.shape[3] != 3 or step.shape != (1,) or int(step[0]) < 1:
        raise ValueError("golden.npz has inputs of a strange shape")
    expected = tuple(np.asarray(arrays[name], dtype=np.float32) for name in outputs)
    if any(e.ndim != 2 or len(e) != len(small) or e.size == 0 or not np.isfinite(e).all() for e in expected):
        raise ValueError("golden.npz has outputs of a strange shape")
    labels = tuple(arrays["labels.npy"].tobytes().decode().split("\n"))
    return Golden(np.asarray(small, dtype=np.uint8), expected, labels, int(step[0]))


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[np.generic]:
    """One array. numpy's own reader takes the memory that a header asks for before it looks at the data."""
    with archive.open(info) as member:
        content = member.read(LARGEST_MEMBER_BYTES + 1)
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):  # type: ignore[no-untyped-call]
        raise ValueError(f"{info.filename} is in a strange format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)  # type: ignore[no-untyped-call]
    if fortran or dtype.kind not in "uif" or dtype.hasobject:
        raise ValueError(f"{info.filename} holds something else than numbers")
    body = content[stream.tell() :]
    count = 1
    for length in shape:
        count *= int(length)
    if len(body) != count * dtype.itemsize:
        raise ValueError(f"{info.filename} does not have the size it states")
    return np.frombuffer(body, dtype=dtype).reshape(shape)
