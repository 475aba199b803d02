"""A folder of drawn people, for training: `pixels.bin`, `people.json`. Needs no OpenGL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from edge_agent.errors import ConfigError, NotFoundError
from edge_agent.records import U8
from train.files import DiskError, write_atomically
from train.people.cutout import Cutout

_LEAST_FACE = 1 / 16  # of a drawing's side
_INDEX, _PIXELS = "people.json", "pixels.bin"


class _Entry(BaseModel):
    """What is kept of a person beside the pixels."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    box: tuple[float, float, float, float]
    front: float = Field(ge=-1, le=1)
    visible: float = Field(ge=0)

    @model_validator(mode="after")
    def _has_a_face(self) -> _Entry:
        left, top, right, bottom = self.box
        if not (left < right and top < bottom):
            raise ValueError(f"the box {self.box} is none")
        return self


class Bank:
    """People by number, read from a memory map. sha256: of what is known of them and of their pixels."""

    def __init__(self, folder: Path) -> None:
        """Raises NotFoundError, or ConfigError where the folder holds something else."""
        try:
            text = (folder / _INDEX).read_bytes()
            self._entries = TypeAdapter(list[_Entry]).validate_json(text)
            if not self._entries:
                raise ValueError("nobody is in it")
            pixels = np.memmap(folder / _PIXELS, np.uint8, "r")
            px = int((len(pixels) / (4 * len(self._entries))) ** 0.5)
            self._pixels = pixels.reshape(len(self._entries), px, px, 4)
            for entry in self._entries:
                _check(entry, px)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"{error.filename} is not there; draw people with `python -m train draw-people`"
            ) from error
        except (OSError, ValidationError, ValueError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise ConfigError(f"{folder} holds no whole drawing of people ({reason}); draw them again") from error
        digest = hashlib.sha256(text)
        digest.update(pixels)
        self.sha256 = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, number: int) -> Cutout:
        entry = self._entries[number]
        pixels: U8 = self._pixels[number]
        return Cutout(pixels, np.array(entry.box, np.float32), entry.front, entry.visible)


def _check(entry: _Entry, px: int) -> None:
    """A face far outside its drawing, or next to nothing of it, would be scaled to no pixel or to gigabytes."""
    left, top, right, bottom = entry.box
    if min(right - left, bottom - top) < _LEAST_FACE * px or min(left, top) < -px or max(right, bottom) > 2 * px:
        raise ValueError(f"the box {entry.box} is none of a face in {px} px")


def write_bank(folder: Path, people: Iterable[Cutout]) -> None:
    """Write people, all drawn to one size. Raises DiskError where the folder cannot be written."""
    entries = []
    with write_atomically(folder / _PIXELS) as out:
        for person in people:
            out.write(person.pixels.tobytes())
            entries.append(
                {
                    "box": [round(float(edge), 2) for edge in person.box],
                    "front": round(person.front, 3),
                    "visible": round(person.visible, 3),
                }
            )
        try:
            (folder / _INDEX).unlink(missing_ok=True)  # a kill in between leaves no index of other people
        except OSError as error:
            raise DiskError(f"cannot write in {folder}: {error.strerror}; give another folder") from error
    with write_atomically(folder / _INDEX) as out:
        out.write(json.dumps(entries).encode())
