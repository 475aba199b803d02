"""One person at random: shape, skin, hair, clothes, perhaps a mask; where the head turns and where the camera is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from edge_agent.records import F32
from train.people.cutout import Cutout
from train.people.makehuman import MakeHuman, Proxy, Surface
from train.people.render import Camera, Light, Part, Renderer, normals

RACES = ("caucasian", "asian", "african")
AGES, _AGE_CHANCES = ("young", "old", "child"), (0.62, 0.24, 0.14)
_FEATURES = ("head", "nose", "chin", "cheek", "eyes", "mouth", "forehead", "eyebrows", "neck", "ears")
HAIR = {
    "male": ("short01", "short02", "short03", "short04", "curly", "curly2", "afro01", "Harvey_Hawk1", "minoan"),
    "female": (
        *("bob01", "bob02", "long01", "Braid01", "ponytail01", "long_alpha7", "long2_alpha7", "curly", "curly2"),
        *("short01", "short03", "southernbelleringlets", "blondwithheadband", "afro01", "Wig_bun_blonde"),
    ),
}
CLOTHES = {
    "male": (
        *(f"male_casualsuit0{number}" for number in range(1, 7)),
        *("male_elegantsuit01", "male_worksuit01", "short_tail_camo_tee", "Coat", "Harvey_Sweater2"),
    ),
    "female": (
        *("female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01", "VNeckTop"),
        *("Tank_Top_01", "Rolled_neck_blouse", "F_Dress_01", "F_Dress_02", "F_Dress_04", "Coat", "Sleeveless", "Sari1"),
    ),
}
HATS = ("fedora", "fedora_cocked", "Fishing_Hat_01", "pith_helmet")
# linear RGB beside the grey of the hair's texture, and how often
_HAIR_TINTS = np.array(
    [(0.12, 0.1, 0.09), (0.3, 0.2, 0.14), (0.6, 0.4, 0.22), (1.6, 1.2, 0.7), (1.8, 1.8, 1.8), (0.9, 0.4, 0.2)]
)
_HAIR_CHANCES = (0.4, 0.22, 0.12, 0.1, 0.11, 0.05)
_CLOTHS = np.array([(0.8, 0.88, 0.95), (0.15, 0.4, 0.7), (0.02, 0.02, 0.02), (0.6, 0.6, 0.62), (0.8, 0.4, 0.45)])
_CLOTH_CHANCES = (0.35, 0.3, 0.2, 0.1, 0.05)

# The human at rest, in decimetres: y up, z to where it looks.
_FACE = (6.25, 8.0, 0.62, 0.8)  # chin, hairline, where the ears begin, half its width
_FACE_HEIGHT = _FACE[1] - _FACE[0]
_NECK = (5.75, 6.55)  # where the turn of the head begins and where it is whole
_SHOULDER = np.array([1.45, 5.3, 0.15])
_ARM_DROP_DEG = 38.0  # from how MakeHuman holds its arms to the sides of the body
_EDGE = 0.03  # of the picture, beside the hair and the hat
_MOUTH, _NOSE_BRIDGE, _NOSTRILS = 6.75, (7.0, 7.2), (6.55, 6.85)


@dataclass(frozen=True, slots=True)
class _Shape:
    vertices: F32
    sex: str
    race: str
    age: str


@dataclass(frozen=True, slots=True)
class _Pose:
    """How the head is turned about `neck`, beside the body; how large it is beside the human at rest."""

    turn: np.ndarray
    neck: np.ndarray
    scale: float

    def of(self, vertices: F32, rest: F32) -> F32:
        """Vertices after the arms are dropped and the head is turned."""
        out = vertices.astype(np.float64)
        for side in (1.0, -1.0):
            share = _between(1.35, 1.9, rest[:, 0] * side)[:, None] * (rest[:, 1:2] < 6)
            near = np.linalg.norm(rest - _SHOULDER * (side, 1, 1), axis=1) < 0.4
            shoulder = vertices[near].mean(axis=0)  # a child's is elsewhere
            out += share * ((out - shoulder) @ turned(roll=-_ARM_DROP_DEG * side).T + shoulder - out)
        share = _between(*_NECK, rest[:, 1])[:, None]
        out += share * ((out - self.neck) @ self.turn.T + self.neck - out)
        return out.astype(np.float32)

    def fit(self, proxy: Proxy, posed: F32, rest: F32) -> tuple[F32, F32]:
        """Vertices of a proxy on a posed human, and at rest."""
        still = proxy.on(rest) + proxy.offsets
        share = _between(*_NECK, still[:, 1])[:, None]
        offsets = proxy.offsets * self.scale
        return (proxy.on(posed) + offsets * (1 - share) + share * (offsets @ self.turn.T)).astype(np.float32), still


def draw_person(human: MakeHuman, renderer: Renderer, rng: Generator) -> Cutout:
    """Somebody who stands anyhow to the camera: as often from behind as from the front."""
    shape = _shape(human, rng)
    pose = _pose(shape, human, rng)
    posed = pose.of(shape.vertices, human.vertices)
    across = normals(posed, human.body.triangles)
    parts, hidden = [], np.zeros(len(posed), bool)
    for kind, name, look in _worn(shape, rng):
        proxy = human.proxy(kind, name)
        hidden |= proxy.hides
        positions, rest = pose.fit(proxy, posed, human.vertices)
        picture = proxy.textures[rng.integers(len(proxy.textures))] if proxy.textures else None
        parts.append(Part(positions, rest, proxy.surface, picture, **look))
    parts.append(_skin(human, shape, posed, across, hidden, rng))
    parts += _mask(human, posed, across, pose.scale, rng)
    heading = turned(yaw=rng.uniform(-180, 180))
    for part in parts:
        part.positions = (part.positions @ heading.T).astype(np.float32)
        part.normals = None if part.normals is None else (part.normals @ heading.T).astype(np.float32)
    face = (posed @ heading.T)[_face_rows(human)]
    centre = face.mean(axis=0)
    camera = _camera(centre, pose.scale, rng).around(np.concatenate([_of_head(part) for part in parts]), _EDGE)
    pixels, shows = renderer.draw(parts, camera, _light(rng), rng.uniform(1.0, 2.5), _FACE)
    corners = camera.project(face, renderer.px)
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)
    towards = (camera.eye - centre) / np.linalg.norm(camera.eye - centre)
    front = float((heading @ pose.turn @ (0.0, 0.0, 1.0)) @ towards)
    visible = float(shows.sum() / max(1e-6, (box[2] - box[0]) * (box[3] - box[1])))
    return Cutout(pixels, box, front, visible)


def turned(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """Rotation, 3x3; degrees about y, x and z; pitch is a nod."""
    a, b, c = np.deg2rad([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def _between(low: float, high: float, x: F32) -> np.ndarray:
    """0 below low, 1 above high, smooth in between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _of_head(part: Part) -> F32:
    """Where the drawn vertices of a part lie that are above the neck; helpers, which are not drawn, may lie far off."""
    rows = np.unique(part.surface.triangles)
    return part.positions[rows[part.rest[rows, 1] > _NECK[1]]]


def _face_rows(human: MakeHuman) -> np.ndarray:
    chin, hairline, ears, half = _FACE
    x, y, z = human.vertices.T
    inside = (y > chin) & (y < hairline) & (z > ears) & (np.abs(x) < half)
    skin = np.zeros(len(x), bool)
    skin[human.body.triangles.ravel()] = True
    return np.flatnonzero(inside & skin)


def _shape(human: MakeHuman, rng: Generator) -> _Shape:
    sex, race = str(rng.choice(("male", "female"))), str(rng.choice(RACES, p=(0.4, 0.35, 0.25)))
    age = str(rng.choice(AGES, p=_AGE_CHANCES))
    vertices = human.vertices.copy()
    share = 1.0 if age == "young" else rng.uniform(0.6, 1.0)
    vertices += share * human.shift(f"macrodetails/{race}-{sex}-{age}")
    vertices += (1 - share) * human.shift(f"macrodetails/{race}-{sex}-young")
    weight = rng.choice(("averageweight", "averageweight", "minweight", "maxweight"))
    body = human.shift(f"macrodetails/universal-{sex}-{age}-averagemuscle-{weight}")
    vertices += rng.uniform(0.5, 1.0) * body
    for name in rng.choice(human.targets(*_FEATURES), 14, replace=False):
        vertices += rng.uniform(0, 0.6) * human.shift(str(name))
    for name in rng.choice(human.targets(f"expression/units/{race}"), rng.integers(0, 3), replace=False):
        vertices += rng.uniform(0, 0.8) * human.shift(str(name))
    return _Shape(vertices, sex, race, age)


def _pose(shape: _Shape, human: MakeHuman, rng: Generator) -> _Pose:
    aside = rng.uniform(-45, 45) if rng.random() < 0.6 else rng.uniform(-12, 12)
    turn = turned(aside, rng.normal(8, 18), rng.uniform(-15, 15))
    x, y, _ = human.vertices.T
    neck = shape.vertices[(np.abs(y - 6.1) < 0.15) & (np.abs(x) < 0.5)].mean(axis=0)
    face = shape.vertices[_face_rows(human)]
    return _Pose(turn, neck, float(np.ptp(face[:, 1]) / _FACE_HEIGHT))


def _worn(shape: _Shape, rng: Generator) -> list[tuple[str, str, dict[str, object]]]:
    """Kind, name and looks of each proxy."""
    hair = _HAIR_TINTS[rng.choice(len(_HAIR_TINTS), p=_HAIR_CHANCES)] * rng.uniform(0.6, 1.4)
    dyed = rng.random() < 0.6
    cloth = rng.uniform(0.05, 1.4, 3) if dyed else np.full(3, rng.uniform(0.3, 1.2))
    worn: list[tuple[str, str, dict[str, object]]] = [
        ("clothes", str(rng.choice(CLOTHES[shape.sex])), {"tint": cloth, "grey": float(dyed)}),
        ("eyes", "Low-Poly", {"tint": np.ones(3), "gloss": 0.3}),
        ("eyebrows", f"eyebrow{rng.integers(1, 13):03d}", {"tint": np.minimum(hair, 0.6), "grey": 1.0, "holes": True}),
    ]
    growth: dict[str, object] = {"tint": hair, "grey": 1.0, "holes": True, "gloss": 0.04}
    if shape.sex == "female" or rng.random() < 0.88:
        worn.append(("hair", str(rng.choice(HAIR[shape.sex])), growth))
    if shape.sex == "male" and shape.age != "child" and rng.random() < 0.3:
        worn.append(("hair", str(rng.choice(("Full_beard", "Moustache"))), growth))
    if rng.random() < 0.12:
        worn.append(("clothes", str(rng.choice(HATS)), {"tint": rng.uniform(0.05, 1.3, 3), "grey": 1.0}))
    if rng.random() < 0.15:
        worn.append(("clothes", "glasses", {"tint": np.ones(3), "gloss": 0.4, "holes": True}))
    return worn


def _skin(human: MakeHuman, shape: _Shape, posed: F32, across: F32, hidden: np.ndarray, rng: Generator) -> Part:
    age = {"child": "young"}.get(shape.age, shape.age) if rng.random() < 0.8 else "middleage"
    pictures = human.skins(shape.race, shape.sex, age)
    seen = ~hidden[human.body.triangles].all(axis=1)
    tint = rng.uniform(0.6, 1.2) * np.array([1.0, rng.uniform(0.9, 1.03), rng.uniform(0.8, 1.03)])
    surface = Surface(human.body.triangles[seen], human.body.uv[seen])
    picture, gloss = pictures[rng.integers(len(pictures))], rng.uniform(0, 0.2)
    return Part(posed, human.vertices, surface, picture, tint, across, gloss=gloss, is_skin=True)


def _mask(human: MakeHuman, posed: F32, across: F32, scale: float, rng: Generator) -> list[Part]:
    """A cloth over a third of the faces, one in four of them below the nose."""
    if rng.random() > 0.35:
        return []
    badly = rng.random() < 0.25
    x, y, _ = human.vertices.T
    head = (y > 6.0)[human.body.triangles].all(axis=1)
    lift = 0.03 + 0.1 * np.exp(-((x / 0.28) ** 2) - ((y - _MOUTH) / 0.35) ** 2)
    tint = rng.uniform(0.02, 0.9, 3) if rng.random() < 0.2 else _CLOTHS[rng.choice(len(_CLOTHS), p=_CLOTH_CHANCES)]
    upper = rng.uniform(*(_NOSTRILS if badly else _NOSE_BRIDGE))
    surface = Surface(human.body.triangles[head], human.body.uv[head])
    positions = posed + (across * lift[:, None] * scale).astype(np.float32)
    edges = (upper, rng.uniform(6.15, 6.3), rng.uniform(0.55, 0.8))
    return [Part(positions, human.vertices, surface, None, tint, across, cloth=edges)]


def _camera(centre: np.ndarray, scale: float, rng: Generator) -> Camera:
    """Higher than the face, as most cameras are, or at its height; the face in the upper half of the picture."""
    height, distance = np.deg2rad(rng.normal(12, 18)), rng.uniform(8, 25)
    eye = centre + distance * np.array([0, np.sin(height), np.cos(height)])
    at = centre + np.array([0, -0.5 * scale, 0]) + rng.uniform(-0.1, 0.1, 3)
    return Camera(eye, at, rng.uniform(2.1, 2.7) * scale)


def _light(rng: Generator) -> Light:
    key = rng.normal(size=3)
    key[1] = abs(key[1]) * 1.2
    if rng.random() < 0.75:
        key[2] = abs(key[2])  # else from behind
    around = rng.uniform(0.1, 0.8)
    return Light(
        key / np.linalg.norm(key),
        rng.uniform(0.1, 1.4) * rng.uniform(0.8, 1.2, 3),
        around * rng.uniform(0.85, 1.15, 3),
        around * rng.uniform(0.25, 0.8) * rng.uniform(0.85, 1.1, 3),
    )
