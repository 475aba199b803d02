"""`dataset.toml`: several sets, their formats, class maps and the one split everybody reports on."""

from __future__ import annotations

import csv
import hashlib
import os
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_agent.errors import ConfigError, NotFoundError
from train.data.readers import Labelled, read_coco, read_folders, read_voc, read_yolo
from train.data.sample import SPLITS, Sample

ROOT_VARIABLE = "MASKWATCH_DATA"


class SetConfig(BaseModel):
    """One data set. `classes` maps its class names to labels; a name mapped to "" is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    format: Literal["voc", "yolo", "coco", "folders"]
    images: str
    annotations: str = ""
    names: str = ""
    classes: dict[str, str]
    weight: float = Field(default=1.0, ge=0)
    split: Literal["file", "hash", "train", "val", "test"] = "file"


class DatasetConfig(BaseModel):
    """The whole file. `root` is relative to the file; the environment variable MASKWATCH_DATA replaces it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    labels: tuple[str, ...]
    root: str = "."
    split_file: str = ""
    set: tuple[SetConfig, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """All samples of a dataset file, with what identifies them in a run's record."""

    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    data_sha256: str
    split_sha256: str
    problems: tuple[str, ...] = ()

    def of(self, split: str, sets: Iterable[str] | None = None) -> list[Sample]:
        """The samples of a split, of some sets where they are named."""
        wanted = None if sets is None else set(sets)
        return [s for s in self.samples if s.split == split and (wanted is None or s.set in wanted)]


def read_config(path: Path) -> tuple[DatasetConfig, Path]:
    """The dataset file and its root folder."""
    if not path.is_file():
        raise NotFoundError(f"no dataset file {path}; train/configs/ has examples")
    try:
        config = DatasetConfig.model_validate(tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    root = Path(os.environ.get(ROOT_VARIABLE) or (path.parent / config.root)).resolve()
    if not root.is_dir():
        raise NotFoundError(f"no data folder {root}; set `root` in {path}, or the variable {ROOT_VARIABLE}")
    return config, root


def load(path: Path | str, lenient: bool = False) -> Dataset:
    """Read every set of a dataset file; refuses an unknown class, a class without pictures and a split that leaks.

    lenient: collect those in `problems` instead, for the data check.
    """
    path = Path(path)
    config, root = read_config(path)
    split_text = _read_split(root, config)
    splits = _parse_split(split_text)
    problems: list[str] = []

    def object_to(message: str) -> None:
        if not lenient:
            raise ConfigError(message)
        problems.append(message)

    samples: list[Sample] = []
    for part in config.set:
        found = list(_samples(part, root, config.labels, splits, object_to))
        if not found:
            object_to(f"{path}: set {part.name} has no labelled face; check its folders, `classes` and the split file")
        samples.extend(found)
    for leak in leaks(samples):
        object_to(leak)
    counted = Counter(s.label for s in samples if s.split == "train")
    for label in config.labels:
        if not counted[label]:
            object_to(f"{path}: no picture of class {label} in the train split; every class needs some")
    split_sha256 = hashlib.sha256(split_text.encode()).hexdigest()
    return Dataset(config.labels, tuple(samples), _digest(samples), split_sha256, tuple(problems))


def leaks(samples: Iterable[Sample]) -> Iterator[str]:
    """Groups on two sides of the split, one message each: they make every figure a lie."""
    side: dict[str, str] = {}
    told: set[str] = set()
    for sample in samples:
        other = side.setdefault(sample.group, sample.split)
        if other != sample.split and sample.group not in told:
            told.add(sample.group)
            yield (
                f"the split leaks: group {sample.group} is in {other} and in {sample.split} ({sample.id}); "
                "put all pictures of a group on one side of the split file"
            )


def hashed_split(group: str) -> str:
    """A split for sets without a split file: 70 % train, 15 % val, 15 % test, by the group's name alone."""
    share = int.from_bytes(hashlib.sha256(group.encode()).digest()[:4]) / 2**32
    return "train" if share < 0.70 else "val" if share < 0.85 else "test"


def _read_split(root: Path, config: DatasetConfig) -> str:
    if not config.split_file:
        return ""
    path = root / config.split_file
    if not path.is_file():
        raise NotFoundError(f'no split file {path}; set `split_file`, or `split = "hash"` for each set')
    return path.read_text()


def _parse_split(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    out: dict[tuple[str, str], tuple[str, str]] = {}
    for row in csv.DictReader(text.splitlines()):
        try:
            if row["split"] not in SPLITS:
                raise ConfigError(f"the split file has split {row['split']!r}; give one of {', '.join(SPLITS)}")
            out[row["set"], row["image"]] = (row["group"], row["split"])
        except KeyError as error:
            raise ConfigError(f"the split file has no column {error}; it needs set, image, group, split") from error
    return out


def _labelled(part: SetConfig, root: Path) -> Iterator[Labelled]:
    images, annotations = root / part.images, root / part.annotations
    if part.format == "voc":
        return read_voc(images, annotations)
    if part.format == "yolo":
        return read_yolo(images, annotations, root / part.names if part.names else None)
    if part.format == "coco":
        return read_coco(images, annotations)
    return read_folders(images)


def _samples(
    part: SetConfig,
    root: Path,
    labels: tuple[str, ...],
    splits: dict[tuple[str, str], tuple[str, str]],
    object_to: Callable[[str], None],
) -> Iterator[Sample]:
    positions: Counter[str] = Counter()
    for item in _labelled(part, root):
        position = positions[item.name]
        positions[item.name] += 1
        if item.alias not in part.classes:
            object_to(
                f"set {part.name}: {item.image_path.name} has the unknown class {item.alias!r}; "
                f"`classes` knows {', '.join(sorted(part.classes))}"
            )
            continue
        label = part.classes[item.alias]
        if not label:
            continue
        if label not in labels:
            raise ConfigError(f"set {part.name}: `classes` maps to {label!r}; the labels are {', '.join(labels)}")
        group, split = _place(part, item.name, splits)
        if not split or (item.box is not None and not item.box.shorter_side >= 1):
            continue
        yield Sample(
            part.name,
            item.image_path,
            item.box,
            label,
            group,
            split,
            f"{part.name}/{item.name}#{position}",
            part.weight,
            item.alias,
        )


def _place(part: SetConfig, name: str, splits: dict[tuple[str, str], tuple[str, str]]) -> tuple[str, str]:
    """Group and split; ("", "") for a picture that the split file leaves out."""
    if part.split == "file":
        return splits.get((part.name, name), ("", ""))
    group = f"{part.name}-{name}"
    return group, hashed_split(group) if part.split == "hash" else part.split


def _digest(samples: list[Sample]) -> str:
    """A hash over labels, boxes, splits and picture sizes in bytes: what a run's record states as its data."""
    digest = hashlib.sha256()
    sizes: dict[Path, int] = {}
    for s in samples:
        if s.image_path not in sizes:
            sizes[s.image_path] = s.image_path.stat().st_size if s.image_path.is_file() else -1
        digest.update(f"{s.id}|{s.box}|{s.label}|{s.split}|{s.group}|{s.weight}|{sizes[s.image_path]}\n".encode())
    return digest.hexdigest()
