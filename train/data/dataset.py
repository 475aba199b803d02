"""`dataset.toml`: several sets, their formats, class maps and the one split everybody reports on."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_agent.errors import ConfigError, NotFoundError
from train.data.readers import Labelled, ObjectTo, Problem, read_coco, read_folders, read_voc, read_yolo, refuse
from train.data.sample import SPLITS, Sample
from train.settings import read_settings

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
    labels: tuple[str, ...] = Field(min_length=1)
    root: str = "."
    split_file: str = ""
    set: tuple[SetConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for what, names in (("labels", self.labels), ("set names", [part.name for part in self.set])):
            if len(set(names)) < len(names):
                raise ValueError(f"{what} {', '.join(names)}: one is there twice")
        for part in self.set:
            for label in part.classes.values():
                if label and label not in self.labels:
                    known = ", ".join(self.labels)
                    raise ValueError(f"set {part.name}: `classes` maps to {label!r}; the labels are {known}")
        return self


@dataclass(frozen=True, slots=True)
class Dataset:
    """All samples of a dataset file, with what identifies them in a run's record."""

    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    data_sha256: str
    split_sha256: str
    problems: tuple[Problem, ...] = ()

    def of(self, split: str, sets: Iterable[str] | None = None) -> list[Sample]:
        """The samples of a split, of some sets where they are named."""
        wanted = None if sets is None else set(sets)
        return [s for s in self.samples if s.split == split and (wanted is None or s.set in wanted)]


def read_config(path: Path) -> tuple[DatasetConfig, Path]:
    """The dataset file and its root folder."""
    config = read_settings(path, DatasetConfig, f"no dataset file {path}; train/configs/ has examples")
    root = Path(os.environ.get(ROOT_VARIABLE) or (path.parent / config.root)).resolve()
    if not root.is_dir():
        raise NotFoundError(f"no data folder {root}; set `root` in {path}, or the variable {ROOT_VARIABLE}")
    return config, root


def load(path: Path | str, lenient: bool = False) -> Dataset:
    """Read every set of a dataset file; refuses an unknown class, a class without pictures and a split that leaks.

    lenient: collect those in `problems` instead, and what else no training can use, for the data check.
    """
    path = Path(path)
    config, root = read_config(path)
    split_text = _read_split(root, config)
    splits = _parse_split(split_text)
    problems: list[Problem] = []
    object_to = problems.append if lenient else refuse

    def note(problem: Problem) -> None:
        if lenient:
            problems.append(problem)

    samples: list[Sample] = []
    for part in config.set:
        found = list(_samples(part, root, splits, object_to, note))
        if not found:
            hint = "check its folders, `classes`, and the names in the split file, which have no suffix"
            object_to(Problem("split", f"{path}: set {part.name} has no labelled face; {hint}", part.name))
        samples.extend(found)
    for leak in leaks(samples):
        object_to(Problem("split", leak))
    counted = Counter(s.label for s in samples if s.split == "train")
    for label in config.labels:
        if not counted[label]:
            object_to(
                Problem("split", f"{path}: no picture of class {label} in the train split; every class needs some")
            )
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
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error}; save it as CSV in UTF-8") from error


def _parse_split(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    out: dict[tuple[str, str], tuple[str, str]] = {}
    for row in csv.DictReader(text.splitlines()):
        try:
            if row["split"] not in SPLITS:
                raise ConfigError(f"the split file has split {row['split']!r}; give one of {', '.join(SPLITS)}")
            key, place = (row["set"], row["image"]), (row["group"], row["split"])
            if out.setdefault(key, place) != place:
                raise ConfigError(f"the split file has {row['set']}/{row['image']} twice, not the same; leave one")
        except KeyError as error:
            raise ConfigError(f"the split file has no column {error}; it needs set, image, group, split") from error
    return out


def _labelled(part: SetConfig, root: Path, object_to: ObjectTo) -> Iterator[Labelled]:
    images, annotations = root / part.images, root / part.annotations
    if part.format == "voc":
        return read_voc(images, annotations, object_to)
    if part.format == "yolo":
        return read_yolo(images, annotations, root / part.names if part.names else None, object_to)
    if part.format == "coco":
        return read_coco(images, annotations, object_to)
    return read_folders(images)


def _samples(
    part: SetConfig,
    root: Path,
    splits: dict[tuple[str, str], tuple[str, str]],
    object_to: ObjectTo,
    note: ObjectTo,
) -> Iterator[Sample]:
    """note: hears of what is left out without harm (a box without an area); object_to of what makes a training fail."""
    positions: Counter[str] = Counter()

    def of_set(problem: Problem) -> None:
        object_to(replace(problem, set=part.name, id=f"{part.name}/{problem.id}" if problem.id else ""))

    for item in _labelled(part, root, of_set):
        id_ = f"{part.name}/{item.name}#{positions[item.name]}"
        positions[item.name] += 1
        group, split = _place(part, item.name, splits)
        label = part.classes.get(item.alias)
        if label is None:
            known = ", ".join(sorted(part.classes))
            text = f"set {part.name}: {item.image_path.name} has the unknown class {item.alias[:60]!r}; "
            object_to(Problem("unknown_class", f"{text}`classes` knows {known}", part.name, split, id_))
        elif item.box is not None and item.box.shorter_side < 1:
            if label:
                text = f"set {part.name}: {item.image_path.name}: a box of {item.box.w:g} x {item.box.h:g} px"
                note(Problem("no_area", text, part.name, split, id_))
        elif label and split:
            yield Sample(part.name, item.image_path, item.box, label, group, split, id_, part.weight, item.alias)


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
