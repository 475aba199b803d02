import errno
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from disks import disk_of
from edge_agent import snapshot_writer
from edge_agent.config import PrivacyConfig, RecordConfig
from edge_agent.privacy import CROP_MARGIN
from edge_agent.record import SnapshotStore
from edge_agent.records import CANNOT_TELL, U8, Box, Event, Frame, Verdict

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
FACE = Box(100, 60, 60, 70)


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s, self.offset_s = 1000.0, 1.7e9

    def monotonic(self) -> float:
        return self.now_s

    def utc(self) -> float:
        return self.now_s + self.offset_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def picture(seed: int = 0) -> U8:
    small = np.random.default_rng(seed).integers(0, 255, (18, 32, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (320, 180), interpolation=cv2.INTER_CUBIC))


def verdict(visit: str, quality: float = 0.8, sure: float = 0.96, label: str = "with_mask") -> Verdict:
    rest = (1 - sure) / 2
    probabilities = tuple(sure if name == label else rest for name in LABELS)
    return Verdict(visit, 1, label, probabilities, FACE, True, quality, None, False, 0.0)


def end(visit: str, label: str = "with_mask") -> Event:
    return Event("end", visit, "door", 1, label, label, label, (1.0, 0.0, 0.0), FACE, None, False, 9,
                 0.0, 0.0, 0.0, 0.0, 1.0)  # fmt: skip


def unsure(visit: str, quality: float = 0.8) -> Verdict:
    return Verdict(visit, 1, CANNOT_TELL, (0.5, 0.4, 0.1), FACE, True, quality, None, False, 0.0)


class Desk:
    """A store and a way to let visits pass before it."""

    def __init__(self, root: Path, privacy: str = "crop", **config: object) -> None:
        self.clock = HandClock()
        self.root = root
        self.config = RecordConfig.model_validate({"min_free_bytes": 0, **config})
        self.privacy = PrivacyConfig.model_validate({"pictures": privacy})
        self.store = SnapshotStore(root, self.config, self.privacy, LABELS, self.clock)
        self.index = 0

    def frame(self, seed: int = 0) -> Frame:
        self.index += 1
        return Frame("door", self.index, self.clock.monotonic(), self.clock.utc(), picture(seed))

    def visit(self, name: str, **of: object) -> None:
        self.clock.now_s += 1
        self.store.offer(self.frame(), [verdict(name, **of)], [])  # type: ignore[arg-type]
        self.store.offer(self.frame(), [], [end(name)])

    def files(self) -> list[str]:
        return sorted(path.name for path in self.root.rglob("*.*") if path.is_file())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**config: object) -> Desk:
        made.append(Desk(tmp_path / "snapshots", **config))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.005)
    return False


def test_a_visit_leaves_a_picture_and_its_words(desk: Callable[..., Desk]) -> None:
    d = desk()
    d.visit("r-door-1")
    d.store.close(60)
    (words,), (jpeg,) = list(d.root.rglob("*.json")), list(d.root.rglob("*.jpg"))
    about = json.loads(words.read_text())
    assert words.stem == jpeg.stem
    assert about["visit"] == "r-door-1"
    assert about["box"] == [100, 60, 60, 70]
    assert about["at"].endswith("Z")
    assert cv2.imread(str(jpeg)).shape[1] < 320
    assert d.store.saved == 1


def test_the_best_view_of_a_visit_is_the_one_saved(desk: Callable[..., Desk]) -> None:
    d = desk(quota_days=30)
    for quality, seed in ((0.3, 1), (0.9, 2), (0.5, 3)):
        d.store.offer(d.frame(seed), [verdict("v", quality)], [])
    d.store.offer(d.frame(4), [], [end("v")])
    d.store.close(60)
    assert json.loads(next(d.root.rglob("*.json")).read_text())["frame"] == 2


def test_what_is_not_certain_enough_is_not_saved(desk: Callable[..., Desk]) -> None:
    d = desk(threshold=0.97)
    d.visit("v", sure=0.96)
    d.store.close(60)
    assert d.files() == []


@pytest.mark.parametrize("threshold", [0.0, 0.9])
def test_what_could_not_be_judged_is_not_saved_unless_asked_for(desk: Callable[..., Desk], threshold: float) -> None:
    d = desk(threshold=threshold)
    d.store.offer(d.frame(), [unsure("v")], [])
    d.store.offer(d.frame(), [], [end("v", CANNOT_TELL)])
    d.store.close(60)
    assert d.files() == []


def test_a_visit_has_its_own_picture_not_that_of_a_camera_whose_name_goes_on(desk: Callable[..., Desk]) -> None:
    d = desk()
    d.visit("r-door-1")
    assert wait_for(lambda: d.store.picture_of("r-door-1") is not None)
    own = d.store.picture_of("r-door-1")
    d.visit("r-door-1-1")
    assert wait_for(lambda: d.store.picture_of("r-door-1-1") is not None)
    assert d.store.picture_of("r-door-1") == own
    assert d.store.picture_of("door-1") is None


def test_the_oldest_of_many_visits_still_has_its_picture(desk: Callable[..., Desk]) -> None:
    first = desk(max_per_minute=10)
    first.visit("r-door-0")
    first.store.close(60)
    (saved,), (words,) = first.root.rglob("*.jpg"), first.root.rglob("*.json")
    for number in range(1, 2500):
        name = f"{saved.name.partition('-')[0]}-r-door-{number}-with_mask"
        os.link(saved, saved.with_name(f"{name}.jpg"))
        os.link(words, saved.with_name(f"{name}.json"))
    again = desk(max_per_minute=10)
    assert wait_for(lambda: again.store.picture_of("r-door-2499") is not None)
    assert again.store.picture_of("r-door-0") == saved.read_bytes()


def test_asked_for_the_best_picture_of_an_unjudged_visit_is_saved_under_the_same_privacy(
    desk: Callable[..., Desk],
) -> None:
    d = desk(uncertain=True)
    for quality, seed in ((0.3, 1), (0.9, 2), (0.5, 3)):
        d.store.offer(d.frame(seed), [unsure("v", quality)], [])
    d.store.offer(d.frame(4), [], [end("v", CANNOT_TELL)])
    d.visit("hardly", sure=0.7)
    d.store.close(60)
    about = [json.loads(path.read_text()) for path in sorted(d.root.rglob("*.json"))]
    assert [(a["visit"], a["label"], a["pictures"]) for a in about] == [
        ("v", CANNOT_TELL, "crop"),
        ("hardly", "with_mask", "crop"),
    ]
    assert about[0]["frame"] == 2
    assert all(cv2.imread(str(path)).shape[1] < 320 for path in d.root.rglob("*.jpg"))


def test_a_moment_of_doubt_in_a_judged_visit_leaves_no_picture_of_doubt(desk: Callable[..., Desk]) -> None:
    d = desk(uncertain=True)
    d.store.offer(d.frame(), [unsure("v")], [])
    d.visit("v")
    d.store.close(60)
    assert [json.loads(path.read_text())["label"] for path in d.root.rglob("*.json")] == ["with_mask"]


def test_without_pictures_doubt_leaves_none_either(desk: Callable[..., Desk]) -> None:
    d = desk(privacy="none", uncertain=True)
    d.store.offer(d.frame(), [unsure("v")], [end("v", CANNOT_TELL)])
    d.store.close(60)
    assert d.files() == []


def test_a_long_visit_is_saved_before_it_ends_and_once(desk: Callable[..., Desk]) -> None:
    d = desk(best_within_s=5)
    for _ in range(20):
        d.clock.now_s += 1
        d.store.offer(d.frame(), [verdict("v")], [])
    assert wait_for(lambda: d.store.saved == 1)
    d.store.close(60)
    assert d.store.saved == 1


def test_no_more_than_so_many_a_minute(desk: Callable[..., Desk]) -> None:
    d = desk(max_per_minute=3)
    for n in range(10):
        d.visit(f"v{n}")
    d.clock.now_s += 61
    d.visit("later")
    d.store.close(60)
    assert (d.store.saved, d.store.dropped) == (4, 7)


def test_the_quota_in_bytes_removes_the_oldest(desk: Callable[..., Desk]) -> None:
    d = desk(quota_bytes=12_000, max_per_minute=1000)
    for n in range(12):
        d.visit(f"v{n:02}")
        assert wait_for(lambda n=n: d.store.saved == n + 1)
    visits = sorted(json.loads(path.read_text())["visit"] for path in d.root.rglob("*.json"))
    assert sum(path.stat().st_size for path in d.root.rglob("*.*") if path.is_file()) <= 12_000
    assert visits == [f"v{n:02}" for n in range(12 - len(visits), 12)]
    assert d.store.bytes == sum(path.stat().st_size for path in d.root.rglob("*.*") if path.is_file())


def test_pictures_older_than_the_quota_in_days_go_once_the_clock_is_steady(desk: Callable[..., Desk]) -> None:
    d = desk(quota_days=2)
    d.visit("old")
    assert wait_for(lambda: d.store.saved == 1)
    d.clock.now_s += 3 * 86_400
    d.visit("new")
    d.store.close(60)
    assert [json.loads(p.read_text())["visit"] for p in d.root.rglob("*.json")] == ["new"]


def test_a_clock_that_jumps_ten_years_removes_nothing(desk: Callable[..., Desk]) -> None:
    d = desk(quota_days=2)
    d.visit("before")
    assert wait_for(lambda: d.store.saved == 1)
    d.clock.offset_s += 10 * 365 * 86_400
    d.visit("after")
    d.store.close(60)
    assert len(list(d.root.rglob("*.json"))) == 2


def test_halves_and_parts_of_a_power_cut_are_removed_at_the_start(tmp_path: Path, desk: Callable[..., Desk]) -> None:
    day = tmp_path / "snapshots" / "2026-01-01"
    day.mkdir(parents=True)
    for name in ("a.jpg", "b.jpg.part", "c.json", "d.jpg", "d.json"):
        (day / name).write_bytes(b"{}")
    d = desk()
    d.store.close(60)
    assert d.files() == ["d.jpg", "d.json"]


def test_what_earlier_starts_saved_counts_towards_the_quota(desk: Callable[..., Desk]) -> None:
    first = desk()
    first.visit("v1")
    first.store.close(60)
    again = desk(quota_bytes=1)
    again.store.close(60)
    assert again.files() == []


@pytest.mark.parametrize("mode", ["none"])
def test_without_pictures_nothing_is_written(desk: Callable[..., Desk], mode: str) -> None:
    d = desk(privacy=mode)
    d.visit("v")
    d.store.close(60)
    assert not d.root.exists() or d.files() == []


def test_a_saved_picture_with_blurred_faces_shows_no_face(desk: Callable[..., Desk]) -> None:
    d = desk(privacy="blurred")
    d.visit("v")
    d.store.close(60)
    saved = cv2.imread(str(next(d.root.rglob("*.jpg"))))
    x, y, w, h = FACE.rounded()
    was, now = picture()[y : y + h, x : x + w], saved[y : y + h, x : x + w]
    assert saved.shape == (180, 320, 3)
    assert float(cv2.matchTemplate(now, was, cv2.TM_CCOEFF_NORMED).max()) < 0.6
    assert np.abs(saved[:, :60].astype(int) - picture()[:, :60]).mean() < 6


def test_a_box_that_belongs_to_nobody_is_blurred_too(desk: Callable[..., Desk]) -> None:
    d = desk(privacy="blurred")
    around = Box(20, 20, 200, 140)
    d.store.offer(d.frame(), [verdict("v")], [], [FACE, around])
    d.store.note([end("v")])
    d.store.close(60)
    saved = cv2.imread(str(next(d.root.rglob("*.jpg"))))
    x, y, w, h = around.rounded()
    was, now = picture()[y : y + h, x : x + w], saved[y : y + h, x : x + w]
    assert float(cv2.matchTemplate(now, was, cv2.TM_CCOEFF_NORMED).max()) < 0.6


def test_a_box_that_belongs_to_nobody_is_blurred_beside_the_face_of_a_crop(desk: Callable[..., Desk]) -> None:
    d = desk(privacy="crop")
    beside = Box(FACE.x + FACE.w + 2, FACE.y, FACE.w, FACE.h)
    nearly = Box(FACE.x + 2, FACE.y + 1, FACE.w, FACE.h)  # the face itself, as it was found in this frame
    d.store.offer(d.frame(), [verdict("v")], [], [nearly, beside])
    d.store.note([end("v")])
    d.store.close(60)
    saved = cv2.imread(str(next(d.root.rglob("*.jpg"))))
    more = int(np.ceil(CROP_MARGIN * max(FACE.w, FACE.h)))
    own = saved[more : more + int(FACE.h), more : more + int(FACE.w * 0.7)]
    x, y, w, _ = FACE.rounded()
    assert np.abs(own.astype(int) - picture()[y : y + own.shape[0], x : x + own.shape[1]]).mean() < 6
    margin = saved[more : more + int(FACE.h), more + int(FACE.w) + 4 :]
    was = picture()[y : y + margin.shape[0], x + w + 4 : x + w + 4 + margin.shape[1]]
    assert np.abs(margin.astype(int) - was).mean() > 15


def test_a_full_disk_stops_saving_and_not_the_agent_and_saving_resumes(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    d = desk()
    full = threading.Event()
    full.set()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(snapshot_writer.os, "fsync", fsync)
    d.visit("lost")
    assert wait_for(lambda: "disk is full" in d.store.problem)
    full.clear()
    d.clock.now_s += 61
    d.visit("kept")
    d.store.close(60)
    assert (d.store.saved, d.store.problem) == (1, "")
    assert not [name for name in d.files() if name.endswith(".part")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of("256k", tmp_path / "small") as folder:
        yield folder


def test_on_a_disk_that_is_really_full_only_whole_pairs_remain(small_disk: Path) -> None:
    d = Desk(small_disk / "snapshots", privacy="full", max_per_minute=1000, jpeg_quality=100)
    for n in range(30):
        d.visit(f"v{n}")
        assert wait_for(lambda n=n: d.store.saved + d.store.failed == n + 1)
    assert "disk is full" in d.store.problem
    assert 0 < d.store.saved < 30
    d.store.close(60)
    assert {path.stem for path in small_disk.rglob("*.jpg")} == {path.stem for path in small_disk.rglob("*.json")}
    assert list(small_disk.rglob("*.part")) == []
    assert all(cv2.imread(str(path)) is not None for path in small_disk.rglob("*.jpg"))


def test_a_disk_that_became_read_only_is_said_and_survived(small_disk: Path) -> None:
    d = Desk(small_disk / "snapshots")
    d.visit("v1")
    assert wait_for(lambda: d.store.saved == 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    d.visit("v2")
    assert wait_for(lambda: "read-only" in d.store.problem)
    d.store.close(60)
    assert d.store.saved == 1


def test_a_visit_that_ends_without_a_frame_is_saved_at_once(desk: Callable[..., Desk]) -> None:
    d = desk()
    d.store.offer(d.frame(), [verdict("v")], [])
    d.store.note([end("v")])
    assert wait_for(lambda: d.store.saved == 1)
