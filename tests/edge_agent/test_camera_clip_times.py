"""Clips with gaps, that begin late, at any rate; which of them break off; how many of their frames are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from clip_files import noise, stays, write_mkv, write_mp4
from edge_agent.camera import container, open_source
from edge_agent.camera.clip import Clip
from edge_agent.config import CameraConfig
from edge_agent.records import U8, Event
from faked_agent import faked_agent

WRITERS = pytest.mark.parametrize("write", [write_mp4, write_mkv])


def read_times(clip: Clip) -> list[float]:
    times = []
    while not clip.over:
        found = clip.next()
        if found is not None:
            times.append(found[0])
    return times


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


class Capture:
    """A video whose frames have these times."""

    def __init__(self, times_s: Sequence[float], fps: float = 25.0, stated: int = 0) -> None:
        self._times_s, self._fps, self._stated, self._next = times_s, fps, stated, 0

    def isOpened(self) -> bool:
        return True

    def get(self, name: int) -> float:
        times = {cv2.CAP_PROP_FPS: self._fps, cv2.CAP_PROP_FRAME_COUNT: self._stated}
        return times.get(name, self._times_s[self._next - 1] * 1000)

    def read(self) -> tuple[bool, U8 | None]:
        self._next += 1
        return (True, np.zeros((2, 2, 3), np.uint8)) if self._next <= len(self._times_s) else (False, None)


def times_of(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    return read_times(Clip(Path("none.mp4")))


@WRITERS
def test_a_gap_in_a_recording_takes_its_time_and_no_frames(tmp_path: Path, write: type) -> None:
    times_s = stays(75, 60, 75)
    clip = Clip(write(tmp_path / "clip.mp4", noise(150), times_s))
    assert read_times(clip) == pytest.approx(times_s)
    assert (clip.shortfall, clip.total_frames) == (None, 150)


@WRITERS
def test_a_last_picture_behind_a_gap_has_its_time(tmp_path: Path, write: type) -> None:
    clip = Clip(write(tmp_path / "clip.mp4", noise(26), stays(25, 60, 1)))
    assert read_times(clip)[-1] == pytest.approx(61)
    assert clip.shortfall is None


@WRITERS
def test_a_timelapse_lasts_as_long_as_it_says(tmp_path: Path, write: type) -> None:
    clip = Clip(write(tmp_path / "clip.mp4", noise(30), [30.0 * n for n in range(30)]))
    assert read_times(clip) == [30.0 * n for n in range(30)]
    assert clip.shortfall is None


def test_a_rate_far_below_one_is_taken_where_there_are_no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    assert times_of(Capture([0.0] * 30, fps=1 / 30), monkeypatch) == pytest.approx([30 * n for n in range(30)])


def test_a_recording_that_begins_late_falls_short_of_nothing(tmp_path: Path) -> None:
    clip = Clip(write_mkv(tmp_path / "clip.mkv", noise(50), [3600 + n / 25 for n in range(50)]))
    assert read_times(clip)[-1] == pytest.approx(49 / 25)
    assert (clip.shortfall, clip.total_frames) == (None, 50)


def test_a_sound_that_is_longer_than_the_pictures_is_no_break(tmp_path: Path) -> None:
    clip = Clip(write_mkv(tmp_path / "clip.mkv", noise(50), [n / 25 for n in range(50)], stated_s=30))
    read_times(clip)
    assert clip.shortfall is None


@pytest.mark.parametrize("times_s", [stays(50, 0, 50), stays(50, 60, 50), [3600 + n / 25 for n in range(100)]])
def test_a_matroska_file_that_is_cut_off_is_said(tmp_path: Path, times_s: list[float]) -> None:
    clip = Clip(cut(write_mkv(tmp_path / "clip.mkv", noise(100), times_s), 0.7))
    came = len(read_times(clip))
    assert 60 < came < 75
    assert (clip.shortfall.came, clip.shortfall.stated, clip.shortfall.certain) == (came, 100, True)
    early_s = (100 - came) / 25
    assert (
        f"{came} frames came of {clip.path}, which is damaged or cut off; it ends {early_s:.1f} s"
        in clip.shortfall.words
    )


@WRITERS
def test_damage_in_a_recording_with_a_gap_is_said(tmp_path: Path, write: type) -> None:
    path = write(tmp_path / "clip.mp4", noise(150), stays(75, 60, 75))
    data = path.read_bytes()
    at, zeros = int(len(data) * 0.6), len(data) // 10
    path.write_bytes(data[:at] + bytes(zeros) + data[at + zeros :])
    clip = Clip(path)
    assert read_times(clip)[-1] == pytest.approx(65.96)
    assert 120 < clip.shortfall.came < 150
    assert clip.shortfall.certain


def test_an_mp4_with_a_gap_whose_end_is_lost_is_said(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "clip.mp4", noise(150), stays(75, 60, 75))
    data = path.read_bytes()
    at, moov_at = int(len(data) * 0.7), data.rindex(b"moov") - 4
    path.write_bytes(data[:at] + bytes(moov_at - at) + data[moov_at:])
    clip = Clip(path)
    came = len(read_times(clip))
    assert (clip.shortfall.came, clip.shortfall.stated, clip.shortfall.certain) == (came, 150, True)


def test_one_wild_time_is_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    times_s = [n / 25 for n in range(100)]
    wild = [*times_s[:40], 900.0, *times_s[41:]]
    assert times_of(Capture(wild), monkeypatch) == pytest.approx(times_s)
    assert times_of(Capture([*times_s, 900.0]), monkeypatch)[-1] == pytest.approx(4.0)


def test_times_beyond_the_stated_length_are_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    times_s = [n / 25 for n in range(100)]
    wild = [*times_s[:40], 900.0, 900.04, 900.08, *times_s[43:]]
    assert times_of(Capture(wild, stated=100), monkeypatch) == pytest.approx(times_s)


def test_a_clip_without_times_has_those_of_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    assert times_of(Capture([0.0] * 50, fps=10), monkeypatch) == pytest.approx([n / 10 for n in range(50)])


def masked(count: int, step_px: int) -> list[U8]:
    """A red square, a masked face for the fakes, that moves to the right."""
    pictures = [np.zeros((120, 320, 3), np.uint8) for _ in range(count)]
    for n, bgr in enumerate(pictures):
        bgr[30:80, 10 + step_px * n : 60 + step_px * n] = (0, 0, 255)
    return pictures


CONFIG = '[[camera]]\nname = "hall"\nsource = "{path}"\n[decide]\nmin_evidence_s = 0.1\n'


@WRITERS
@pytest.mark.parametrize(("gap_s", "stays_s"), [(60.0, [2.96, 2.96]), (4.0, [9.96]), (0.0, [5.96])])
def test_who_is_there_before_and_after_a_gap_stays_twice(
    tmp_path: Path, write: type, gap_s: float, stays_s: list[float]
) -> None:
    path = write(tmp_path / "clip.mp4", masked(150, 1), stays(75, gap_s, 75))
    with faked_agent(tmp_path, CONFIG.format(path=path)) as agent:
        events: list[Event] = []
        event = agent.parts.reporter.event
        agent.parts.reporter.event = lambda one: events.append(one) or event(one)
        summary = agent.run()
    assert [one.duration_s for one in events if one.type == "end"] == pytest.approx(stays_s, abs=0.05)
    assert summary["people"]["with_mask"] == len(stays_s)


def test_a_timelapse_has_no_gaps(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "clip.mp4", masked(8, 10), [30.0 * n for n in range(8)])
    with faked_agent(tmp_path, CONFIG.format(path=path)) as agent:
        assert agent.run()["people"]["with_mask"] == 1


# --- how many frames


def frames_of(config: CameraConfig) -> tuple[list[int], list[float]]:
    source, frames = open_source(config), []
    while not source.ended:
        frame = source.read()
        if frame is not None:
            frames.append(frame)
    assert source.shortfall is None
    return [frame.index for frame in frames], [frame.at_s - frames[0].at_s for frame in frames]


def test_max_fps_leaves_out_the_frames_between(tmp_path: Path) -> None:
    path = str(write_mkv(tmp_path / "clip.mkv", noise(30), [round(n / 30, 3) for n in range(30)]))
    indices, times_s = frames_of(CameraConfig(source=path, max_fps=10))
    assert indices == list(range(0, 30, 3))
    assert times_s == pytest.approx([n / 10 for n in range(10)], abs=0.001)
    assert frames_of(CameraConfig(source=path))[0] == list(range(30))
    assert frames_of(CameraConfig(source=path, max_fps=30))[0] == list(range(30))


def test_max_fps_holds_in_real_time(tmp_path: Path) -> None:
    path = str(write_mkv(tmp_path / "clip.mkv", noise(30), [n / 25 for n in range(30)]))
    indices, _ = frames_of(CameraConfig(source=path, max_fps=5, realtime=True))
    assert indices == list(range(0, 30, 5))


def test_damage_behind_the_last_frame_that_max_fps_gives_is_said(tmp_path: Path) -> None:
    path = cut(write_mkv(tmp_path / "clip.mkv", noise(50), [n / 25 for n in range(50)]), 0.5)
    source = open_source(CameraConfig(source=str(path), max_fps=1))
    while not source.ended:
        source.read()
    assert source.shortfall.certain


# --- names


def test_a_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mkv(tmp_path / "07:00.mkv", noise(3), [0.0, 0.04, 0.08])
    monkeypatch.chdir(tmp_path)
    assert len(read_times(Clip(Path("07:00.mkv")))) == 3
    assert frames_of(CameraConfig(source="07:00.mkv"))[0] == [0, 1, 2]


def test_a_file_of_endless_elements_does_not_hold_up_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_mkv(tmp_path / "a.mkv", noise(20), stays(20, 0.0, 0))
    assert container.is_whole(path) is True
    monkeypatch.setattr(container, "ELEMENTS_MOST", 10)
    assert container.is_whole(path) is None
