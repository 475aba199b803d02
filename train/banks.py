"""Backbone features of augmented views, computed once and kept on disk as float16: what makes an epoch cheap."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_agent.records import U8
from train.draws import Draw, Views
from train.files import write_atomically

CHUNK = 64


@dataclass(frozen=True, slots=True)
class Bank:
    """features: float16 (n, ...), mapped from disk. labels: int64 (n,)."""

    features: NDArray[np.float16]
    labels: NDArray[np.int64]


def run_front(front: keras.Model, pictures: NDArray[Any]) -> NDArray[np.float16]:
    """Features of uint8 RGB pictures, float16."""
    return np.asarray(front.predict_on_batch(pictures.astype(np.float32)), np.float32).astype(np.float16)


class Banks:
    """Banks of one phase, made when first asked for and then read from disk."""

    def __init__(self, views: Views, front: keras.Model, folder: Path, key: str, workers: int = 2) -> None:
        self._views, self._front, self._folder, self._key, self._workers = views, front, folder, key, workers

    def path(self, number: int) -> Path:
        name = hashlib.sha256(f"{self._key}|{number}".encode()).hexdigest()[:16]
        return self._folder / f"bank-{name}.npy"

    def get(self, number: int) -> Bank:
        draws = self._views.bank(number)
        path = self.path(number)
        if not path.is_file():
            with write_atomically(path) as out:
                self._fill(draws, out)
        return Bank(np.load(path, mmap_mode="r"), np.array([d.label for d in draws], np.int64))

    def _fill(self, draws: Sequence[Draw], out: IO[bytes]) -> None:
        """Write an .npy file piece by piece: a full disk is an error here, where a memory map would end the process."""
        for start, pictures in self._pictures(draws):
            found = run_front(self._front, pictures)
            if start == 0:
                shape = (len(draws), *found.shape[1:])
                head = {"descr": np.lib.format.dtype_to_descr(found.dtype), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(out, head)
            out.write(found.tobytes())

    def _pictures(self, draws: Sequence[Draw]) -> Iterator[tuple[int, U8]]:
        """Chunks of views; the next one is made while the network runs on this one."""
        with ThreadPoolExecutor(self._workers) as pool:
            ahead = pool.map(self._views.view, draws, chunksize=1) if len(draws) <= CHUNK else None
            if ahead is not None:
                yield 0, np.stack(list(ahead))
                return
            pending = [pool.submit(self._views.view, d) for d in draws[: 2 * CHUNK]]
            for start in range(0, len(draws), CHUNK):
                ready, pending = pending[:CHUNK], pending[CHUNK:]
                following = start + 2 * CHUNK
                pending += [pool.submit(self._views.view, d) for d in draws[following : following + CHUNK]]
                yield start, np.stack([future.result() for future in ready])
