"""Batches without end, made by threads ahead of the training step (OpenCV and numpy release the GIL)."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator

import cv2
import numpy as np

from edge_agent.records import F32, U8
from train.detector.augment import Recipe, training_picture
from train.detector.cache import Cache
from train.detector.things import Things
from train.people.bank import Bank

MAX_LABELS = 32

Stem = Callable[[U8], F32]


def batches(
    cache: Cache,
    stem: Stem,
    size: int,
    batch: int,
    weights: dict[str, float],
    recipe: Recipe,
    seed: int,
    threads: int,
    people: Bank | None = None,
    things: Things | None = None,
) -> Generator[tuple[F32, F32], None, None]:
    """What the stem makes of RGB pictures of `size` px, float32 (batch, ...), and labels (batch, MAX_LABELS, 5).

    Close it when done: a thread that is inside OpenCV when Python ends takes the process with it.
    """
    ready: queue.Queue[tuple[F32, F32] | Exception] = queue.Queue(maxsize=4)
    cooking = threading.Lock()  # the stem serves one thread at a time
    done = threading.Event()
    chances = np.array([weights.get(source, 1.0) for source in cache.sources])
    chances *= [1.0 + (recipe.hard - 1.0) * hard.most for hard in cache.hard]
    chances /= chances.sum()

    def hand_over(made: tuple[F32, F32] | Exception) -> None:
        while not done.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(made, timeout=0.1)
                return

    def work(number: int) -> None:
        rng = np.random.default_rng([seed, number])
        try:
            while not done.is_set():
                images, labels = _batch(cache, chances, size, batch, recipe, rng, people, things)
                with cooking:
                    features = stem(images)
                hand_over((features, labels))
        except Exception as error:  # noqa: BLE001 - whatever it is, the consumer would wait for ever
            hand_over(error)

    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        while True:
            made = ready.get()
            if isinstance(made, Exception):
                raise made
            yield made
    finally:
        done.set()
        for worker in workers:
            worker.join()


def _batch(
    cache: Cache,
    chances: np.ndarray,
    size: int,
    batch: int,
    recipe: Recipe,
    rng: np.random.Generator,
    people: Bank | None,
    things: Things | None,
) -> tuple[U8, F32]:
    images = np.empty((batch, size, size, 3), np.uint8)
    labels = np.zeros((batch, MAX_LABELS, 5), np.float32)
    for row in range(batch):
        numbers = rng.choice(len(cache), 4, p=chances)
        picture = training_picture([cache[int(n)] for n in numbers], size, recipe, rng, people, things)
        images[row] = cv2.cvtColor(picture.pixels, cv2.COLOR_BGR2RGB)
        found = picture.labels[np.argsort(-picture.labels[:, 4], kind="stable")][:MAX_LABELS]
        labels[row, : len(found)] = found
    return images, labels
