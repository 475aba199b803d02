"""Pictures that OpenGL draws without a screen, and people drawn from the small package: run by test_draw.py."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import NotFoundError
from train.__main__ import main
from train.people.bank import Bank
from train.people.makehuman import MakeHuman, Surface
from train.people.person import draw_person
from train.people.render import Camera, Light, Part, Renderer

NO_FACE = (0.0, 0.0, 9.0, 0.0)
BEFORE = Camera(np.array([0.0, 0.0, 10.0]), np.zeros(3), 1.0)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    try:
        return Renderer(64)
    except NotFoundError as error:
        pytest.skip(str(error))


def square(half: float, z: float, tint: tuple[float, float, float]) -> Part:
    """Faces the camera, at a depth."""
    corners = np.array([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]], np.float32)
    surface = Surface(np.array([[0, 1, 2], [0, 2, 3]]), np.zeros((2, 3, 2), np.float32))
    return Part(corners, corners, surface, None, np.array(tint))


def lamp(x: float = 0.0, key: float = 1.0, around: float = 0.0) -> Light:
    way = np.array([x, 0.0, 1.0])
    return Light(way / np.linalg.norm(way), np.full(3, key), np.full(3, around), np.full(3, around))


def test_a_square_covers_what_it_should_in_its_colour(renderer: Renderer) -> None:
    pixels, shows = renderer.draw([square(0.5, 0.0, (1.0, 0.2, 0.0))], BEFORE, lamp(), -9.0, NO_FACE)
    assert pixels.shape == (64, 64, 4)
    rows, columns = np.nonzero(pixels[..., 3] > 127)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == pytest.approx((16, 16, 47, 47), abs=1)
    blue, green, red, alpha = (int(v) for v in pixels[32, 32])
    assert (red, alpha) == (255, 255)
    assert blue < 10 < green < red
    assert shows.max() == 0


def test_what_stands_before_the_lamp_throws_a_shadow(renderer: Renderer) -> None:
    wall, screen = square(0.9, 0.0, (1.0, 1.0, 1.0)), square(0.2, 0.6, (1.0, 1.0, 1.0))
    pixels, _ = renderer.draw([wall, screen], BEFORE, lamp(x=0.6), -9.0, NO_FACE)
    lit, shaded = int(pixels[32, 50, 0]), int(pixels[32, 19, 0])  # the lamp is on the right
    assert shaded < lit / 3


def test_only_skin_in_its_place_counts_as_face(renderer: Renderer) -> None:
    part = square(0.5, 0.0, (1.0, 1.0, 1.0))
    part.is_skin = True
    _, shows = renderer.draw([part], BEFORE, lamp(), -9.0, (0.0, 0.5, -1.0, 0.5))
    assert shows[20, 32] == pytest.approx(1.0, abs=0.01)
    assert shows[40, 32] == 0.0


def test_a_projected_point_lies_where_it_is_drawn(renderer: Renderer) -> None:
    part = square(0.05, 0.0, (1.0, 1.0, 1.0))
    part.positions = part.positions + np.array([0.4, 0.3, 0.0], np.float32)
    pixels, _ = renderer.draw([part], BEFORE, lamp(), -9.0, NO_FACE)
    rows, columns = np.nonzero(pixels[..., 3] > 127)
    assert BEFORE.project(np.array([[0.4, 0.3, 0.0]]), 64)[0] == pytest.approx(
        (columns.mean() + 0.5, rows.mean() + 0.5), abs=0.7
    )


def test_a_texture_that_is_no_picture_in_colour_is_one_line(renderer: Renderer, tmp_path: Path) -> None:
    part = square(0.5, 0.0, (1.0, 1.0, 1.0))
    part.picture = tmp_path / "grey.png"
    for picture in (None, np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint16)):
        if picture is not None:
            cv2.imwrite(str(part.picture), picture)
        with pytest.raises(NotFoundError, match="no picture in colour"):
            renderer.draw([part], BEFORE, lamp(), -9.0, NO_FACE)


def test_people_are_seen_from_every_side(renderer: Renderer, makehuman: Path) -> None:
    human = MakeHuman(makehuman)
    people = [draw_person(human, renderer, np.random.default_rng(seed)) for seed in range(60)]
    faces, backs = [p for p in people if p.is_face], [p for p in people if p.is_back]
    assert len(faces) >= 10
    assert len(backs) >= 10
    assert all(p.front < 0.3 for p in backs)
    assert all(person.pixels[0, :, 3].max() == 0 for person in people)  # no head is cut off
    for person in faces:
        left, top, right, bottom = (int(v) for v in person.box)
        assert 0 <= left < right - 8 <= 64
        assert 0 <= top < bottom <= 64
        assert person.pixels[top:bottom, left:right, 3].mean() > 120  # somebody is there


def test_the_command_draws_the_same_people_again(renderer: Renderer, makehuman: Path, tmp_path: Path, capsys) -> None:
    del renderer  # here for its skip
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        words = ["draw-people", "--makehuman", str(makehuman), "--out", str(tmp_path / name)]
        assert main([*words, "--count", "6", "--px", "48", "--seed", seed]) == 0
    assert "6 people" in capsys.readouterr().out
    a, b, c = (Bank(tmp_path / name) for name in "abc")
    assert a[0].pixels.shape == (48, 48, 4)
    assert all((a[i].pixels == b[i].pixels).all() for i in range(6))
    assert any((a[i].pixels != c[i].pixels).any() for i in range(6))
