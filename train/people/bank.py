"""A folder of drawn people, for training: `pixels.bin`, `people.json`. Needs no OpenGL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.errors import ConfigError, NotFoundError
from edge_agent.records import F32, U8
from train.files import write_atomically
from train.people.cutout import Cutout

_INDEX, _PIXELS = "people.json", "pixels.bin"


class Bank:
    """People by number, read from a memory map."""

    def __init__(self, folder: Path) -> None:
        """Raises NotFoundError, or ConfigError where the folder holds something else."""
        try:
            self._entries: list[dict[str, Any]] = json.loads((folder / _INDEX).read_text())
            pixels = np.memmap(folder / _PIXELS, np.uint8, "r")
            px = int((len(pixels) / (4 * len(self._entries))) ** 0.5)
            self._pixels = pixels.reshape(len(self._entries), px, px, 4)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"{error.filename} is not there; draw people with `python -m train draw-people`"
            ) from error
        except (OSError, ValueError, TypeError, ZeroDivisionError) as error:
            raise ConfigError(f"{folder} holds no whole drawing of people ({error}); draw them again") from error

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, number: int) -> Cutout:
        entry = self._entries[number]
        pixels: U8 = self._pixels[number]
        box: F32 = np.array(entry["box"], np.float32)
        return Cutout(pixels, box, entry["wears"], entry["front"], entry["visible"])


def write_bank(folder: Path, people: Iterable[Cutout]) -> None:
    """Write people, all drawn to one size. Raises DiskError where the folder cannot be written."""
    entries = []
    with write_atomically(folder / _PIXELS) as out:
        for person in people:
            out.write(person.pixels.tobytes())
            entries.append(
                {
                    "box": [round(float(edge), 2) for edge in person.box],
                    "wears": person.wears,
                    "front": round(person.front, 3),
                    "visible": round(person.visible, 3),
                }
            )
    with write_atomically(folder / _INDEX) as out:
        out.write(json.dumps(entries).encode())
