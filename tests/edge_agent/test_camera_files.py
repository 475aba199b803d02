"""Clips and folders of images: read whole, in real time, damaged, and cut off."""

import itertools
import json
import logging
import re
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.camera import Rota, open_source
from edge_agent.config import CameraConfig
from edge_agent.errors import CameraError, NotFoundError
from edge_agent.records import Frame


def write_clip(path: Path, frames: int = 20, fps: float = 10.0, noise: bool = False) -> Path:
    """Frame n is grey level 10 n; noise: no frame takes up few bytes."""
    rng = np.random.default_rng(1)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, (64, 48))
    for n in range(frames):
        picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) if noise else np.full((48, 64, 3), 10 * n, np.uint8)
        writer.write(picture)
    writer.release()
    return path


def damage(path: Path, share: float = 0.1) -> Path:
    """Zeros in the middle of a file."""
    data = path.read_bytes()
    half = int(len(data) * (0.5 - share / 2))
    path.write_bytes(data[:half] + bytes(int(len(data) * share)) + data[half + int(len(data) * share) :])
    return path


def write_slow_clip(path: Path, frames: int) -> Path:
    """25 frames a second of a picture that takes longer than that to decode: JPEG files one behind the other."""
    grey = cv2.resize(np.random.default_rng(1).integers(0, 255, (108, 192), dtype=np.uint8), (7680, 4320))
    path.write_bytes(cv2.imencode(".jpg", cv2.merge([grey] * 3))[1].tobytes() * frames)
    return path


def read_all(source: object) -> list[Frame]:
    frames = []
    while not source.ended:  # type: ignore[attr-defined]
        frame = source.read()  # type: ignore[attr-defined]
        if frame is not None:
            frames.append(frame)
    return frames


def test_a_clip_is_read_frame_by_frame_and_the_same_each_time(tmp_path: Path) -> None:
    config = CameraConfig(source=str(write_clip(tmp_path / "a.mp4")))
    first, second = read_all(open_source(config)), read_all(open_source(config))
    assert [frame.index for frame in first] == list(range(20))
    assert [round(frame.at_s, 3) for frame in first] == [round(n / 10, 3) for n in range(20)]
    assert all(np.array_equal(a.bgr, b.bgr) for a, b in zip(first, second, strict=True))
    assert [abs(int(frame.bgr.mean()) - 10 * n) < 6 for n, frame in enumerate(first)] == [True] * 20


def test_a_clip_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no clip"):
        open_source(CameraConfig(source=str(tmp_path / "none.mp4")))


@pytest.mark.parametrize("content", [b"", b"this is no video", bytes(range(256)) * 40])
def test_a_file_without_a_picture_is_a_camera_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(CameraError, match="no picture"):
        open_source(CameraConfig(source=str(path)))


def test_a_clip_cut_off_in_the_middle_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "cut.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for n in range(20):
        writer.write(np.random.default_rng(n).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = open_source(CameraConfig(source=str(path)))
    came = len(read_all(source))
    assert 0 < came < 20
    assert (source.shortfall.came, source.shortfall.stated, source.shortfall.certain) == (came, 20, True)
    assert re.search(rf"{came} frames came of 20 that .*cut.avi states; it ends [\d.]+ s early", source.shortfall.words)


@pytest.mark.parametrize("realtime", [None, True])
def test_a_damaged_place_in_a_clip_is_passed_over_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, realtime: bool | None
) -> None:
    caplog.set_level(logging.INFO)
    path = damage(write_clip(tmp_path / "a.mp4", frames=60, fps=50, noise=True))
    source = open_source(CameraConfig(name="hall", source=str(path), realtime=realtime))
    frames = read_all(source)
    missing = 60 - len(frames) - source.figures.dropped
    assert 1 <= missing <= 15
    assert abs((frames[-1].at_s - frames[0].at_s) - 59 / 50) < 0.05, "the clock of the clip goes on over the hole"
    assert f"camera hall: {60 - missing} frames came of 60 that {path} states; {missing} could not" in caplog.text
    assert source.shortfall.certain


def test_a_damaged_place_gives_the_loop_its_turns(tmp_path: Path) -> None:
    path = damage(write_clip(tmp_path / "a.mp4", frames=400, fps=100, noise=True), share=0.5)
    source = open_source(CameraConfig(source=str(path)))
    turns, came = 0, 0
    while not source.ended:
        turns, came = turns + 1, came + (source.read() is not None)
    assert 100 < came < 300
    assert turns - came >= (400 - came) // 25 - 1


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4"])
def test_a_whole_clip_falls_short_of_nothing(tmp_path: Path, suffix: str) -> None:
    source = open_source(CameraConfig(source=str(write_clip(tmp_path / f"a{suffix}"))))
    assert len(read_all(source)) == 20
    assert source.shortfall is None


def test_a_clip_that_was_stopped_falls_short_of_nothing(tmp_path: Path) -> None:
    source = open_source(CameraConfig(source=str(damage(write_clip(tmp_path / "a.mp4", noise=True)))))
    source.read()
    source.close()
    assert (source.read(), source.ended, source.shortfall) == (None, True, None)


def test_a_folder_of_images_is_read_by_name_and_bad_ones_are_passed_over(tmp_path: Path) -> None:
    for name, level in (("b.png", 100), ("a.jpg", 50), ("c.png", 150)):
        cv2.imwrite(str(tmp_path / name), np.full((20, 30, 3), level, np.uint8))
    (tmp_path / "aa.jpg").write_bytes(b"no picture")
    (tmp_path / "words.txt").write_text("x")
    source = open_source(CameraConfig(source=str(tmp_path)))
    frames = read_all(source)
    assert [round(float(frame.bgr.mean()), -1) for frame in frames] == [50, 100, 150]
    assert [frame.at_s for frame in frames] == [0, 1, 2]
    assert source.shortfall.words == f"3 of 4 files in {tmp_path} are pictures"


def test_a_folder_without_a_picture_is_a_camera_error(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no picture"):
        open_source(CameraConfig(source=str(tmp_path)))


def test_in_real_time_a_clip_drops_what_nobody_read(tmp_path: Path) -> None:
    source = open_source(CameraConfig(source=str(write_clip(tmp_path / "a.mp4")), realtime=True))
    began_s = time.monotonic()
    frames = []
    while not source.ended:
        frame = source.read()
        if frame is not None:
            frames.append(frame)
            time.sleep(0.35)
    assert time.monotonic() - began_s >= 1.5
    assert len(frames) < 12
    assert source.figures.dropped >= 8
    assert all(a.at_s < b.at_s for a, b in itertools.pairwise(frames))


def test_a_clip_that_decodes_more_slowly_than_it_plays_gives_the_loop_its_turn(tmp_path: Path) -> None:
    source = open_source(CameraConfig(source=str(write_slow_clip(tmp_path / "slow.mjpeg", 60)), realtime=True))
    frames, longest_s = [], 0.0
    while not source.ended:
        began_s = time.monotonic()
        frame = source.read()
        longest_s = max(longest_s, time.monotonic() - began_s)
        frames += [] if frame is None else [frame.at_s]
    assert longest_s < 1.0
    assert frames == sorted(frames)
    assert len(frames) + source.figures.dropped == 60


# --- addresses


def test_two_clips_take_turns_and_end(tmp_path: Path) -> None:
    sources = [
        open_source(CameraConfig(name=name, source=str(write_clip(tmp_path / f"{name}.mp4", frames=5))))
        for name in ("a", "b")
    ]
    rota = Rota(sources)
    rota.start()
    served = []
    while not rota.ended:
        found = rota.next(0.0)
        if found is not None:
            served.append(found[0].name)
    assert json.dumps(served) == json.dumps(["a", "b"] * 5)
