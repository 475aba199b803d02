import cv2
import numpy as np

from edge_agent.config import MotionConfig
from edge_agent.motion import MotionGate
from edge_agent.records import U8, Frame

FPS = 5


def scene(seed: int = 0) -> U8:
    small = np.random.default_rng(seed).integers(20, 130, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (640, 360), interpolation=cv2.INTER_CUBIC))


def noisy(bgr: U8, rng: np.random.Generator, sigma: float = 3.0) -> U8:
    return np.clip(bgr + rng.normal(0, sigma, bgr.shape), 0, 255).astype(np.uint8)


def with_head(bgr: U8, x: int, y: int, side: int) -> U8:
    out = bgr.copy()
    cv2.ellipse(out, (x, y), (side // 2, int(side * 0.6)), 0, 0, 360, (120, 150, 205), -1)
    return out


def looks(gate: MotionGate, pictures: list[U8], from_s: float = 0.0) -> list[bool]:
    return [gate.moved(Frame("c", i, from_s + i / FPS, 0.0, bgr)) for i, bgr in enumerate(pictures)]


def test_a_still_noisy_scene_is_looked_at_once_a_second() -> None:
    gate, rng = MotionGate(MotionConfig(heartbeat_s=1.0)), np.random.default_rng(1)
    still = scene()
    looked = looks(gate, [noisy(still, rng) for _ in range(50)])
    assert sum(looked[10:]) == 8


def test_a_person_who_comes_in_is_seen_in_the_same_frame() -> None:
    gate, rng, still = MotionGate(MotionConfig(heartbeat_s=60)), np.random.default_rng(1), scene()
    looks(gate, [noisy(still, rng) for _ in range(20)])
    assert looks(gate, [noisy(with_head(still, 320, 180, 60), rng)], from_s=4.0) == [True]


def test_even_a_small_head_far_away_opens_the_gate() -> None:
    gate, rng, still = MotionGate(MotionConfig(heartbeat_s=60)), np.random.default_rng(1), scene()
    looks(gate, [noisy(still, rng) for _ in range(20)])
    assert looks(gate, [noisy(with_head(still, 450, 100, 12), rng)], from_s=4.0) == [True]


def test_who_comes_in_too_slowly_for_two_neighbouring_frames_is_seen() -> None:
    gate, still = MotionGate(MotionConfig(heartbeat_s=600, linger_s=0)), scene()
    creeping = [with_head(still, -30 + step // 2, 180, 60) for step in range(120)]
    assert sum(looks(gate, creeping)[1:]) >= 1


def test_a_person_who_stands_still_is_looked_at_by_the_heartbeat() -> None:
    gate, still = MotionGate(MotionConfig(heartbeat_s=1.0)), with_head(scene(), 320, 180, 80)
    looked = looks(gate, [still] * 100)
    gaps = np.diff([i for i, one in enumerate(looked) if one])
    assert gaps.max() <= FPS * 1.0


def test_the_gate_stays_open_for_a_while_after_a_movement() -> None:
    gate, still = MotionGate(MotionConfig(heartbeat_s=60, linger_s=1.0)), scene()
    looks(gate, [still] * 20)
    after = looks(gate, [with_head(still, 320, 180, 80)] * 10, from_s=4.0)
    assert after[:5] == [True] * 5
    assert not any(after[6:])


def test_switched_off_every_frame_is_looked_at() -> None:
    assert all(looks(MotionGate(MotionConfig(enabled=False)), [scene()] * 10))


def test_another_scene_is_a_cut_and_the_light_is_not() -> None:
    gate = MotionGate(MotionConfig())
    looks(gate, [scene(0), (scene(0) * 0.4).astype(np.uint8)])
    assert not gate.cut
    looks(gate, [scene(1)], from_s=1.0)
    assert gate.cut


def test_a_change_of_resolution_is_looked_at() -> None:
    gate = MotionGate(MotionConfig(heartbeat_s=60, linger_s=0))
    small = np.asarray(cv2.resize(scene(), (320, 240)))
    assert looks(gate, [scene(), scene(), small])[-1] is True
