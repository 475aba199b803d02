"""Made scenes with known truth: people walk, cross, hide one another, turn away, put masks on; boxes missed and false.

    scene = make("crossing", seed=1, fps=10)
    for moment in scene.moments: moment.at_s, moment.readings
        moment.person_of[id(reading)] -> person, or None for a false box
    result = play(scene)        # through the agent's own tracker and decider
    result.duplicates, .misses, .false_visits, .switches, .wrong_labels

No picture is drawn: what a detector and a classifier would say is made directly, with their faults, from a seed.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from edge_agent.config import DecideConfig, TrackConfig
from edge_agent.decide import Decider
from edge_agent.quality import sureness
from edge_agent.records import CANNOT_TELL, Box, Face, Reading
from edge_agent.track import Tracker

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
WIDTH, HEIGHT = 1280, 720
SCORE_THRESHOLD = 0.6  # of the detector that is made up
Place = tuple[float, float, float]  # centre x, centre y, side, pixels


@dataclass(frozen=True)
class Person:
    """place(t): where the face is, None while it cannot be seen. label(t): what it wears. near: hides those behind."""

    name: int
    place: Callable[[float], Place | None]
    label: Callable[[float], str]
    near: float = 0.0


@dataclass(frozen=True)
class Faults:
    """How a detector and a classifier err. missed: per look. false_per_s: boxes on nothing. wrong: per reading."""

    missed: float = 0.1
    jitter_share: float = 0.03
    false_per_s: float = 0.3
    wrong: float = 0.08


@dataclass(frozen=True)
class Moment:
    at_s: float
    readings: list[Reading]
    person_of: dict[int, int | None]


@dataclass(frozen=True)
class Scene:
    name: str
    people: list[Person]
    moments: list[Moment]
    label_at_end: dict[int, str]


@dataclass
class Result:
    """What the agent made of a scene. switches: a track that goes over to another person."""

    people: int = 0
    duplicates: int = 0
    misses: int = 0
    false_visits: int = 0
    switches: int = 0
    wrong_labels: int = 0
    undecided: int = 0
    flaps: int = 0
    visits: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: Result) -> Result:
        names = ("people", "duplicates", "misses", "false_visits", "switches", "wrong_labels", "undecided", "flaps")
        return Result(**{name: getattr(self, name) + getattr(other, name) for name in names})


def walk(start: Place, speed_px_s: float, begin_s: float, sway: float = 4.0) -> Callable[[float], Place | None]:
    """Across the picture from `start` at a speed, with the sway of a gait; not there outside the picture."""

    def place(t: float) -> Place | None:
        x = start[0] + speed_px_s * (t - begin_s)
        if t < begin_s or not -start[2] / 4 < x < WIDTH + start[2] / 4:
            return None
        return x, start[1] + sway * math.sin(2 * math.pi * 1.8 * t), start[2]

    return place


def stand(at: Place, begin_s: float, end_s: float, away: tuple[tuple[float, float], ...] = (), rng_phase: float = 0.0):
    """Stands at a place and sways a little; turned away, so without a face, in the spans of `away`."""

    def place(t: float) -> Place | None:
        if not begin_s <= t < end_s or any(a <= t < b for a, b in away):
            return None
        sway = 0.12 * at[2]
        return at[0] + sway * math.sin(0.9 * t + rng_phase), at[1] + sway * 0.5 * math.sin(0.7 * t), at[2]

    return place


def always(label: str) -> Callable[[float], str]:
    return lambda _t: label


def changing(before: str, after: str, at_s: float) -> Callable[[float], str]:
    return lambda t: before if t < at_s else after


def _crossing(rng: np.random.Generator) -> tuple[list[Person], float]:
    side = rng.uniform(50, 110)
    speed = rng.uniform(1.5, 4.0) * side
    y = rng.uniform(200, 500)
    labels = rng.permutation(LABELS)
    left = Person(0, walk((0.0, y, side), speed, 0.5), always(str(labels[0])), near=1)
    behind = (float(WIDTH), y + rng.uniform(-0.4, 0.4) * side, side * rng.uniform(0.8, 1.0))
    right = Person(1, walk(behind, -speed, 0.7), always(str(labels[1])))
    return [left, right], WIDTH / speed + 4


def _seated(rng: np.random.Generator) -> tuple[list[Person], float]:
    people = []
    for name in range(3):
        at = (250.0 + 380 * name, rng.uniform(250, 450), rng.uniform(60, 120))
        turns = tuple((float(a), float(a + rng.uniform(0.4, 4.0))) for a in np.arange(4, 28, 7) + rng.uniform(0, 2))
        people.append(Person(name, stand(at, 0.3 * name, 30.0, turns, name), always(LABELS[name])))
    return people, 34


def _mask_changes(rng: np.random.Generator) -> tuple[list[Person], float]:
    people = []
    for name in range(3):
        at = (250.0 + 380 * name, rng.uniform(250, 450), rng.uniform(60, 120))
        before, after = ("without_mask", "with_mask") if rng.random() < 0.5 else ("with_mask", "without_mask")
        people.append(Person(name, stand(at, 0, 20), changing(before, after, float(rng.uniform(5, 8)))))
    return people, 22


def _crowd(rng: np.random.Generator) -> tuple[list[Person], float]:
    people = []
    for name in range(12):
        side = float(rng.uniform(30, 100))
        direction = 1 if rng.random() < 0.5 else -1
        start = (0.0 if direction > 0 else float(WIDTH), float(rng.uniform(100, 620)), side)
        speed = direction * float(rng.uniform(1.5, 4.5)) * side
        place = walk(start, speed, float(rng.uniform(0, 12)))
        people.append(Person(name, place, always(str(rng.choice(LABELS))), near=side))
    return people, 45


def _abreast(rng: np.random.Generator) -> tuple[list[Person], float]:
    side, speed = float(rng.uniform(50, 90)), float(rng.uniform(100, 250))
    gap = float(rng.uniform(1.2, 1.8)) * side
    people = [
        Person(n, walk((-n * 0.6 * gap, 250.0 + n * gap, side), speed, 0.0), always(LABELS[n % 3]), near=n)
        for n in range(3)
    ]
    return people, WIDTH / speed + 5


def _pillar(rng: np.random.Generator) -> tuple[list[Person], float]:
    """One walks behind a pillar for up to 1.5 s."""
    side, speed = float(rng.uniform(50, 100)), float(rng.uniform(120, 260))
    hidden_px = speed * float(rng.uniform(0.5, 1.5))
    inner = walk((0.0, 300.0, side), speed, 0.2)

    def place(t: float) -> Place | None:
        at = inner(t)
        return None if at is None or 500 < at[0] < 500 + hidden_px else at

    return [Person(0, place, always(str(rng.choice(LABELS))))], WIDTH / speed + 4


def _queue(rng: np.random.Generator) -> tuple[list[Person], float]:
    """One after another comes to the same spot, stands, and walks on."""
    people, begin_s = [], 0.5
    side, speed = float(rng.uniform(70, 120)), float(rng.uniform(200, 300))
    for name in range(4):
        stay_s = float(rng.uniform(3, 6))
        people.append(Person(name, _stop_at(640.0, side, speed, begin_s, stay_s), always(str(rng.choice(LABELS)))))
        begin_s += 640 / speed + stay_s + float(rng.uniform(0.2, 1.0))
    return people, begin_s + 10


def _stop_at(x: float, side: float, speed: float, begin_s: float, stay_s: float) -> Callable[[float], Place | None]:
    arrives_s = begin_s + x / speed

    def place(t: float) -> Place | None:
        if t < begin_s:
            return None
        at_x = min(x, (t - begin_s) * speed) + max(0.0, t - arrives_s - stay_s) * speed
        return (at_x, 320 + 3 * math.sin(8 * t), side) if at_x < WIDTH else None

    return place


KINDS: dict[str, Callable[[np.random.Generator], tuple[list[Person], float]]] = {
    "crossing": _crossing,
    "pillar": _pillar,
    "abreast": _abreast,
    "seated": _seated,
    "queue": _queue,
    "mask_changes": _mask_changes,
    "crowd": _crowd,
}


def make(kind: str, seed: int, fps: float = 10.0, faults: Faults | None = None) -> Scene:
    """A scene of `kind`; the same for the same seed."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    people, length_s = KINDS[kind](rng)
    return record(kind, people, length_s, fps, faults or Faults(), rng)


def record(
    name: str, people: list[Person], length_s: float, fps: float, faults: Faults, rng: np.random.Generator
) -> Scene:
    """What a detector and a classifier say of these people, look after look."""
    moments, last_label = [], {}
    for step in range(int(length_s * fps)):
        at_s = step / fps
        readings, person_of = [], {}
        for person, place in _in_sight(people, at_s):
            last_label[person.name] = person.label(at_s)
            if rng.random() < faults.missed:
                continue
            reading = _reading(place, person.label(at_s), faults, rng)
            readings.append(reading)
            person_of[id(reading)] = person.name
        if rng.random() < faults.false_per_s / fps:
            nowhere = (float(rng.uniform(0, WIDTH)), float(rng.uniform(0, HEIGHT)), float(rng.uniform(25, 80)))
            reading = _reading(nowhere, str(rng.choice(LABELS)), faults, rng)
            readings.append(reading)
            person_of[id(reading)] = None
        order = rng.permutation(len(readings))
        moments.append(Moment(at_s, [readings[i] for i in order], person_of))
    return Scene(name, people, moments, last_label)


def _in_sight(people: list[Person], at_s: float) -> list[tuple[Person, Place]]:
    """Who is not hidden: a nearer face that covers 40 % of one hides it."""
    there = [(person, place) for person in people if (place := person.place(at_s)) is not None]
    return [(p, place) for p, place in there if not any(q.near > p.near and _hides(other, place) for q, other in there)]


def _hides(front: Place, back: Place) -> bool:
    width = (front[2] + back[2]) / 2 - abs(front[0] - back[0])
    height = 1.2 * (front[2] + back[2]) / 2 - abs(front[1] - back[1])
    return width > 0 and height > 0 and min(width, back[2]) * min(height, 1.2 * back[2]) > 0.4 * 1.2 * back[2] ** 2


def _reading(place: Place, label: str, faults: Faults, rng: np.random.Generator) -> Reading:
    x, y, side = place
    noise = rng.normal(0, faults.jitter_share * side, 4)
    width, height = side + noise[2], 1.2 * side + noise[3]
    box = Box(x - width / 2 + noise[0], y - height / 2 + noise[1], width, height)
    said = str(rng.choice(LABELS)) if rng.random() < faults.wrong else label
    sure = float(rng.uniform(0.7, 0.99))
    rest = (1 - sure) / (len(LABELS) - 1)
    probabilities = tuple(sure if name == said else rest for name in LABELS)
    score, sharpness = float(rng.uniform(0.8, 0.97)), float(rng.uniform(0.4, 1.0))
    return Reading(Face(box, score), probabilities, sharpness, sureness(score, SCORE_THRESHOLD))


def play(scene: Scene, track: TrackConfig | None = None, decide: DecideConfig | None = None) -> Result:
    """The agent's tracker and decider on a scene, scored against its truth."""
    tracker = Tracker(track or TrackConfig())
    decider = Decider(decide or DecideConfig(), LABELS)
    seen: defaultdict[int, Counter[int | None]] = defaultdict(Counter)
    last: dict[int, int] = {}
    result, events = Result(people=len(scene.label_at_end)), []
    for moment in scene.moments:
        tracks = tracker.update(moment.at_s, moment.readings)
        for one in tracks:
            if one.reading is None:
                continue
            person = moment.person_of[id(one.reading)]
            seen[one.id][person] += 1
            if person is not None:
                result.switches += last.get(one.id, person) != person
                last[one.id] = person
        events += decider.update(moment.at_s, 1e9 + moment.at_s, tracks, (WIDTH, HEIGHT))
    events += decider.finish(moment.at_s, 1e9 + moment.at_s)
    return _score(scene, result, events, seen)


def _score(scene: Scene, result: Result, events: list, seen: dict[int, Counter[int | None]]) -> Result:
    visits_of: Counter[int] = Counter()
    for event in events:
        result.flaps += event.type == "update"
        if event.type != "end":
            continue
        person = seen[event.track].most_common(1)[0][0]
        if person is None:
            result.false_visits += 1
            continue
        visits_of[person] += 1
        truth = scene.label_at_end[person]
        result.undecided += event.after == CANNOT_TELL
        result.wrong_labels += event.after not in (truth, CANNOT_TELL)
        result.visits[event.visit] = person
    result.duplicates = sum(n - 1 for n in visits_of.values())
    result.misses = sum(1 for person in scene.label_at_end if not visits_of[person])
    return result
