"""Which snapshots are worth a person's time: uncertain ones, each scene once, no camera alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from train.runs.snapshots import Snapshot

SAME_BITS = 8  # of 64: two views of one face within a second differ in fewer, two people in more
CROWDED = 0.85  # the next picture of the same camera and day is worth so much less


@dataclass(frozen=True, slots=True)
class Rule:
    """margin: less than this between the two likeliest labels is uncertain. wanted: a label worth more (rare)."""

    count: int = 200
    margin: float = 0.3
    same_bits: int = SAME_BITS
    wanted: str = ""


@dataclass(frozen=True, slots=True)
class Picked:
    """use: 0 to about 1.5, what the ranking went by."""

    snapshot: Snapshot
    use: float


def use(snapshot: Snapshot, wanted: str = "") -> float:
    """Entropy of the probabilities, half as much again as the wanted label is likely."""
    return snapshot.entropy * (1 + 0.5 * snapshot.probabilities.get(wanted, 0.0))


def pick(snapshots: Sequence[Snapshot], rule: Rule, known: Sequence[int] = ()) -> list[Picked]:
    """The best first: uncertain, unlike each other and unlike `known`, and from many cameras and days."""
    candidates = [s for s in snapshots if s.uncertain or s.margin < rule.margin]
    ranked = sorted(candidates, key=lambda s: (-use(s, rule.wanted), s.at, str(s.path)))
    return _spread(without_duplicates(ranked, rule.same_bits, known), rule)


def without_duplicates(ranked: Sequence[Snapshot], same_bits: int, known: Sequence[int] = ()) -> list[Snapshot]:
    """Of near-duplicates the first stays; of one visit too, where the picture hardly changed."""
    kept: list[Snapshot] = []
    marks = list(known)
    for snapshot in ranked:
        if any((snapshot.fingerprint ^ mark).bit_count() <= same_bits for mark in marks):
            continue
        marks.append(snapshot.fingerprint)
        kept.append(snapshot)
    return kept


def _spread(ranked: Sequence[Snapshot], rule: Rule) -> list[Picked]:
    """Greedy: each picture of a camera's day makes the following ones of that day worth less."""
    taken: Counter[tuple[str, str]] = Counter()
    left, out = list(ranked), []
    while left and len(out) < rule.count:
        worth = [use(s, rule.wanted) * CROWDED ** taken[s.camera, s.at[:10]] for s in left]
        best = max(range(len(left)), key=lambda i: worth[i])
        snapshot = left.pop(best)
        taken[snapshot.camera, snapshot.at[:10]] += 1
        out.append(Picked(snapshot, worth[best]))
    return out
