"""Which faces a bank holds, and how each becomes a view. Every choice follows from the seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ConfigError
from edge_agent.records import U8
from train.augment import distort, jittered_crop
from train.config import TrainConfig
from train.data import Sample
from train.faces import Region, RegionStore, smaller
from train.masks import draw, face_frame

VERSION = 1  # of augmentation and drawn masks: raise it when their code changes what they draw
GOOD, BARE, BAD = "with_mask", "without_mask", "mask_weared_incorrect"


@dataclass(frozen=True, slots=True)
class Draw:
    """One view to make. mask: "" for the photograph as it is, else the class that a drawn mask makes of a bare face."""

    sample: int
    label: int
    seed: int
    mask: str = ""


class Views:
    """Makes banks of draws and the views they stand for."""

    def __init__(
        self, samples: Sequence[Sample], store: RegionStore, labels: Sequence[str], config: TrainConfig
    ) -> None:
        self._samples, self._store, self._config = samples, store, config
        self._labels = tuple(labels)
        self._of = {
            label: np.array([i for i, s in enumerate(samples) if s.label == label], np.int64) for label in labels
        }
        framed = [i for i in range(len(samples)) if samples[i].label in (BARE, GOOD) and face_frame(store[i].landmarks)]
        self._bare = np.array([i for i in framed if samples[i].label == BARE], np.int64)
        self._donors = np.array([i for i in framed if samples[i].label == GOOD and samples[i].side_px >= 48], np.int64)

    def key(self) -> str:
        """What the views follow from, as text: a bank made with another key is another bank."""
        config = self._config
        settings = config.model_dump(
            mode="json", include={"seed", "crop_margin", "augment", "balance", "landmarks_model"}
        )
        if config.balance.method != "sampling":
            settings["balance"] = {**settings["balance"], "method": "as they are", "shares": {}}
        faces = [(s.id, s.label) for s in self._samples]
        facts = [VERSION, settings, config.bank_size, config.model.input_size_px, faces]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def bank(self, number: int) -> list[Draw]:
        """The draws of a bank, shuffled."""
        config = self._config.balance
        rng = np.random.default_rng([self._config.seed, number])
        size = self._config.bank_size or len(self._samples)
        out: list[Draw] = []
        for label, count in self._counts(size).items():
            synthetic = (
                {BAD: config.synthetic_bad, GOOD: config.synthetic_good}.get(label, 0.0) if len(self._bare) else 0.0
            )
            drawn = round(count * synthetic)
            out += [self._draw(i, label, "", rng) for i in self._pick(self._of[label], count - drawn, rng)]
            if drawn:
                out += [self._draw(i, label, label, rng) for i in self._pick(self._bare, drawn, rng)]
        rng.shuffle(out)  # type: ignore[arg-type]
        return out

    def _counts(self, size: int) -> dict[str, int]:
        if self._config.balance.method == "sampling" and self._config.balance.shares:
            unknown = set(self._config.balance.shares) - set(self._labels)
            if unknown or not sum(self._config.balance.shares.values()) > 0:
                wrong = f"name {sorted(unknown)[0]!r}" if unknown else "sum to 0"
                raise ConfigError(f"balance.shares {wrong}; give each of {', '.join(self._labels)} its share")
            shares = {label: self._config.balance.shares.get(label, 0.0) for label in self._labels}
        else:
            shares = {label: float(len(self._of[label])) for label in self._labels}
        total = sum(shares.values())
        return {label: round(size * share / total) for label, share in shares.items()}

    def _pick(self, among: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        weights = np.array([self._samples[i].weight for i in among])
        if np.ptp(weights) == 0 and count <= 3 * len(among):  # even: everyone once before anyone twice
            whole = [rng.permutation(among) for _ in range(count // max(1, len(among)) + 1)]
            return np.concatenate(whole)[:count]
        return rng.choice(among, count, p=weights / weights.sum())

    def _draw(self, sample: int, label: str, mask: str, rng: np.random.Generator) -> Draw:
        return Draw(int(sample), self._labels.index(label), int(rng.integers(2**31)), mask)

    def view(self, item: Draw) -> U8:
        """uint8 RGB (s, s, 3)."""
        config = self._config
        rng = np.random.default_rng(item.seed)
        region = self._store[item.sample]
        if item.mask:
            region = self._masked(region, item.mask == BAD, rng)
        size = config.model.input_size_px
        rgb = jittered_crop(region, size, config.crop_margin, rng, config.augment)
        return distort(rgb, rng, config.augment, max(region.box.w, region.box.h) * (1 + 2 * config.crop_margin))

    def _masked(self, region: Region, bad: bool, rng: np.random.Generator) -> Region:
        """This bare face, or another if its landmarks allow no mask, with a mask drawn on."""
        for _ in range(20):
            donor = None
            if len(self._donors) and rng.random() < self._config.balance.donors:
                donor = self._store[int(rng.choice(self._donors))]
            region = smaller(region, 1.1 * self._config.model.input_size_px)
            drawn = draw(region, rng, bad, smaller(donor, 1.1 * self._config.model.input_size_px) if donor else None)
            if drawn is not None:
                return Region(drawn, region.box, region.landmarks)
            region = self._store[int(rng.choice(self._bare))]
        return region
