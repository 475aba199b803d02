"""One training on several devices: the engines that exist, and nothing in front of them but their settings.

- Several devices of one machine, TensorFlow: `tf.distribute.MirroredStrategy`.
- Several machines (or processes), JAX: `keras.distribution.DataParallel` over all of their devices. Each process runs
  the same command; Keras reads KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and _PROCESS_ID.

Keras 3 under `MultiWorkerMirroredStrategy` crashes, so several machines on TensorFlow are refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ConfigError, UnavailableError

ADDRESSES, PROCESSES, PROCESS = (
    f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)


@dataclass(frozen=True, slots=True)
class Place:
    """Which of how many processes this is; only the first one writes files and logs."""

    process: int = 0
    processes: int = 1
    devices: int = 1

    @property
    def first(self) -> bool:
        return self.process == 0


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of one training. coordinator: HOST:PORT of the first."""

    coordinator: str
    processes: int
    process: int


def group(environ: Mapping[str, str] = os.environ) -> Group | None:
    """What the environment says of other processes; None for a training on its own."""
    given = [name for name in (ADDRESSES, PROCESSES, PROCESS) if environ.get(name)]
    if not given:
        return None
    if len(given) < 3:
        missing = ", ".join(name for name in (ADDRESSES, PROCESSES, PROCESS) if name not in given)
        raise ConfigError(f"{', '.join(given)} is set and {missing} is not; several processes need all three")
    address = environ[ADDRESSES].split(",")[0]
    try:
        processes, process = int(environ[PROCESSES]), int(environ[PROCESS])
    except ValueError as error:
        raise ConfigError(f"{PROCESSES} and {PROCESS} are whole numbers: {error}") from error
    if not 0 <= process < processes:
        raise ConfigError(f"{PROCESS} is {process}; with {processes} processes give 0 to {processes - 1}")
    if not address.rpartition(":")[2].isdigit() or not address.rpartition(":")[0]:
        raise ConfigError(f"{ADDRESSES} is {environ[ADDRESSES]!r}; give HOST:PORT of the first process")
    return Group(address, processes, process)


def begin(seed: int, environ: Mapping[str, str] = os.environ) -> Place:
    """Join the other processes, if the environment names any. Call it before anything is computed."""
    found = group(environ)
    if found is None:
        return Place()
    import keras

    if keras.backend.backend() != "jax":
        raise ConfigError(
            f"{PROCESSES} is {found.processes} and the backend is {keras.backend.backend()}; "
            "several processes need KERAS_BACKEND=jax (pip install jax)"
        )
    keras.utils.set_random_seed(
        seed
    )  # before the group forms: with a seed, Keras does not agree on one over the network
    try:
        keras.distribution.initialize(found.coordinator, found.processes, found.process)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UnavailableError(f"no group of {found.processes} processes at {found.coordinator}: {reason}") from error
    everywhere = keras.distribution.list_devices()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=everywhere, auto_shard_dataset=False))
    return Place(found.process, found.processes, len(everywhere))


def logical_cpus(count: int) -> None:
    """Split the CPU into `count` devices, for trying a distribution without GPUs; before TensorFlow is used."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise ConfigError(
            f"TensorFlow runs already with other devices: {error}; set them before it computes"
        ) from error


@contextmanager
def mirrored(count: int | None = None) -> Iterator[int]:
    """Build and compile the model inside: its variables are mirrored on `count` local devices (all, if None).

    Yields the number of devices; 1 means that nothing is distributed. The batch size stays the global one.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ConfigError(f"several local devices use TensorFlow; the backend is {keras.backend.backend()}")
    import tensorflow as tf

    names = [d.name for d in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]
    if count is not None and not 1 <= count <= len(names):
        raise UnavailableError(f"asked for {count} devices; TensorFlow sees {len(names)}: {', '.join(names)}")
    chosen = names[: count or len(names)]
    if len(chosen) == 1:
        yield 1
        return
    # NCCL is for GPUs; copies through the host work on every device.
    across = None if "GPU" in chosen[0] else tf.distribute.HierarchicalCopyAllReduce()
    with tf.distribute.MirroredStrategy(chosen, cross_device_ops=across).scope():
        yield len(chosen)


def rows_of(batch: int, batch_size: int, order: NDArray[np.int64], place: Place) -> NDArray[np.int64]:
    """The rows that this process contributes to a global batch; the union over processes is the batch itself."""
    share = batch_size // place.processes
    start = batch * batch_size + place.process * share
    return order[start : start + share]


def shared_batches(x: NDArray[Any], y: NDArray[Any], batch_size: int, place: Place, seed: int) -> Any:
    """A `keras.utils.PyDataset` whose global batches are the same for any number of processes.

    x, y: (n, ...), the whole data on every process. Each epoch has its own order; a last batch that is not full is
    left out, since its devices could not share it evenly.
    """
    import keras

    if batch_size < 1 or batch_size % place.devices or batch_size % place.processes:
        raise ConfigError(f"batch size {batch_size} cannot be shared by {place.devices} devices; give a multiple of it")
    if len(x) < batch_size:
        raise ConfigError(f"{len(x)} samples make no batch of {batch_size}; give a smaller batch size")

    class Batches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            self._epoch = 0
            self.on_epoch_begin()

        def on_epoch_begin(self) -> None:
            self._order = np.random.default_rng((seed, self._epoch)).permutation(len(x))

        def on_epoch_end(self) -> None:
            self._epoch += 1

        def __len__(self) -> int:
            return len(x) // batch_size

        def __getitem__(self, batch: int) -> tuple[NDArray[Any], NDArray[Any]]:
            at = rows_of(batch, batch_size, self._order, place)
            return x[at], y[at]

    return Batches()
