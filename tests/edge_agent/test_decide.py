from dataclasses import replace

import pytest

from edge_agent.config import DecideConfig, TrackConfig, ZoneConfig
from edge_agent.decide import Decider
from edge_agent.quality import sureness
from edge_agent.records import CANNOT_TELL, Box, Event, Face, Reading
from edge_agent.track import Tracker

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
MASKED, BARE, UNSURE = (0.95, 0.04, 0.01), (0.04, 0.95, 0.01), (0.4, 0.35, 0.25)
FPS = 10


class Watch:
    """A tracker and a decider, fed with one line of frames after another."""

    def __init__(self, config: DecideConfig | None = None, zones: tuple[ZoneConfig, ...] = (), utc_s: float = 1e9):
        self.tracker = Tracker(TrackConfig())
        self.decider = Decider(config or DecideConfig(), LABELS, "door", zones, run_id="r")
        self.at_s, self.utc_s = 100.0, utc_s
        self.events: list[Event] = []

    def see(self, seconds: float, *readings: Reading) -> list[Event]:
        """The same faces for so long; the events of that time."""
        new: list[Event] = []
        for _ in range(round(seconds * FPS)):
            self.at_s += 1 / FPS
            self.utc_s += 1 / FPS
            tracks = self.tracker.update(self.at_s, list(readings))
            new += self.decider.update(self.at_s, self.utc_s, tracks, (1000, 500))
        self.events += new
        return new

    def finish(self) -> list[Event]:
        new = self.decider.finish(self.at_s, self.utc_s)
        self.events += new
        return new


def face(
    probabilities: tuple[float, ...], x: float = 300.0, side: float = 70.0, score: float = 0.93, threshold: float = 0.6
) -> Reading:
    """threshold: the detector's own."""
    return Reading(Face(Box(x, 200, side, side), score), probabilities, sureness=sureness(score, threshold))


def types(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.type, event.after) for event in events]


def test_a_visit_has_a_beginning_an_end_and_one_id() -> None:
    watch = Watch()
    assert types(watch.see(2.0, face(MASKED))) == [("new", "with_mask")]
    assert types(watch.see(10.0)) == [("end", "with_mask")]
    assert {event.visit for event in watch.events} == {"r-door-1"}
    assert watch.decider.totals() == {"with_mask": 1, "without_mask": 0, "mask_weared_incorrect": 0, CANNOT_TELL: 0}
    assert watch.events[-1].duration_s == pytest.approx(1.9)


def test_an_end_shows_where_the_face_was_last_seen_not_where_it_would_be_by_now() -> None:
    watch = Watch()
    for step in range(20):
        watch.see(0.1, face(MASKED, x=300.0 + 30 * step))
    [end] = watch.see(10.0)
    assert (end.type, end.box) == ("end", Box(870, 200, 70, 70))


def test_the_first_verdict_takes_less_than_a_second_and_a_half() -> None:
    watch = Watch()
    (event,) = watch.see(2.0, face(MASKED))
    assert event.at_s - 100.0 <= 1.5
    assert event.before is None


def test_a_mask_put_on_is_one_update_of_the_same_visit() -> None:
    watch = Watch()
    watch.see(3.0, face(BARE))
    (update,) = watch.see(6.0, face(MASKED))
    assert (update.type, update.before, update.after, update.visit) == (
        "update",
        "without_mask",
        "with_mask",
        "r-door-1",
    )
    watch.finish()
    assert watch.decider.totals()["with_mask"] == 1
    assert sum(watch.decider.totals().values()) == 1


def test_a_mask_taken_off_is_noticed_within_four_seconds() -> None:
    watch = Watch()
    watch.see(20.0, face(MASKED))
    (update,) = watch.see(4.0, face(BARE))
    assert (update.before, update.after) == ("with_mask", "without_mask")


def test_a_classifier_that_wavers_makes_no_flapping() -> None:
    watch = Watch()
    for _ in range(30):
        watch.see(0.3, face(MASKED))
        watch.see(0.2, face(BARE))
    watch.finish()
    assert len([event for event in watch.events if event.type == "update"]) <= 1


def test_thin_evidence_is_cannot_tell_and_stands_beside_the_judged() -> None:
    watch = Watch()
    assert types(watch.see(3.0, face(UNSURE))) == [("new", CANNOT_TELL)]
    watch.finish()
    assert watch.decider.totals()[CANNOT_TELL] == 1


def test_a_moment_of_doubt_does_not_take_a_verdict_back() -> None:
    watch = Watch()
    watch.see(2.0, face(MASKED))
    assert watch.see(0.5, face(UNSURE)) == []


def test_two_flashes_on_the_wall_are_no_visit() -> None:
    watch = Watch()
    watch.see(0.2, face(MASKED))
    watch.see(10.0)
    watch.finish()
    assert watch.events == []


def test_a_back_of_a_head_that_hardly_looks_like_a_face_is_no_visit() -> None:
    watch = Watch()
    watch.see(1.5, face(MASKED, side=26, score=0.62))
    watch.finish()
    assert watch.events == []


def test_a_nape_that_the_classifier_takes_for_no_face_is_no_visit_however_sure_the_detector_is() -> None:
    nape = replace(face(MASKED, score=0.93), sureness=0.0)
    watch = Watch()
    watch.see(10.0, nape)
    assert watch.decider.in_view()["with_mask"] == 0
    watch.see(1.5, face(MASKED))  # who turns round is one visit, from then on
    watch.see(1.5, nape)
    watch.finish()
    assert types(watch.events) == [("new", "with_mask"), ("end", "with_mask")]
    assert watch.events[-1].frames == 15


@pytest.mark.parametrize("threshold", [0.2, 0.44, 0.6, 0.9])
def test_what_a_score_is_worth_goes_by_the_detectors_own_threshold(threshold: float) -> None:
    just, half, sure = (threshold + share * (1 - threshold) for share in (0.01, 0.5, 0.7))
    assert sureness(just, threshold) == 0.2
    assert 0.75 < sureness(half, threshold) < 0.85
    assert sureness(sure, threshold) == 1.0
    watch = Watch()
    watch.see(1.5, face(MASKED, side=26, score=just, threshold=threshold))
    watch.see(10.0)
    assert watch.events == [], "boxes that hardly are faces are no visit"
    assert types(watch.see(1.5, face(MASKED, side=26, score=sure, threshold=threshold))) == [("new", "with_mask")]


@pytest.mark.parametrize(("score", "threshold"), [(0.0, 0.5), (1.0, 1.0), (0.3, 0.44), (0.5, 0.0)])
def test_scores_at_the_edges_and_below_the_threshold_are_worth_something(score: float, threshold: float) -> None:
    assert 0.2 <= sureness(score, threshold) <= 1.0


def test_faces_below_the_minimum_size_do_not_count() -> None:
    watch = Watch(DecideConfig(min_face_px=40))
    watch.see(3.0, face(MASKED, side=39))
    watch.finish()
    assert watch.events == []


def test_large_sharp_views_weigh_more_than_smears() -> None:
    watch = Watch()
    smear = Reading(Face(Box(300, 200, 70, 70), 0.9), BARE, sharpness=0.02)
    for _ in range(10):
        watch.see(0.2, face(MASKED))
        watch.see(0.2, smear)
    watch.finish()
    assert watch.events[-1].counted_as == "with_mask"


def test_one_who_passes_quickly_is_counted_at_the_end() -> None:
    watch = Watch()
    watch.see(0.4, face(MASKED))
    assert watch.events == []
    watch.see(5.0)
    assert [event.type for event in watch.events] == ["new", "end"]


def test_a_face_that_never_moves_is_a_poster_and_says_so() -> None:
    watch = Watch(DecideConfig(static_after_s=30))
    events = watch.see(60.0, face(BARE))
    assert [(event.type, event.static, event.counted_as) for event in events] == [
        ("new", False, "without_mask"),
        ("update", True, None),
    ]
    assert watch.decider.in_view()["without_mask"] == 0
    watch.finish()
    assert sum(watch.decider.totals().values()) == 0


def test_a_known_poster_is_not_announced_again() -> None:
    watch = Watch(DecideConfig(static_after_s=30))
    watch.see(40.0, face(BARE))
    watch.see(20.0)
    before = len(watch.events)
    watch.see(10.0, face(BARE))
    assert len(watch.events) == before


def test_someone_who_stops_before_the_poster_and_goes_on_is_counted() -> None:
    watch = Watch(DecideConfig(static_after_s=30))
    watch.see(40.0, face(BARE))
    watch.see(20.0)
    for step in range(40):
        watch.see(0.1, face(MASKED, x=300 + 8 * step))
    assert watch.events[-1].type == "new"


def test_zones_go_with_the_visit() -> None:
    left = ZoneConfig(name="left", polygon=((0, 0), (0.5, 0), (0.5, 1), (0, 1)))
    watch = Watch(zones=(left,))
    watch.see(2.0, face(MASKED, x=200), face(BARE, x=800))
    zones = {event.after: event.zone for event in watch.finish()}
    assert zones == {"with_mask": "left", "without_mask": None}


def test_a_clock_that_jumps_changes_no_duration() -> None:
    watch = Watch()
    watch.see(2.0, face(MASKED))
    watch.utc_s += 86_400 * 365
    watch.see(2.0, face(MASKED))
    (end,) = watch.finish()
    assert end.duration_s == pytest.approx(3.9)
    assert end.last_seen_utc_s - end.first_seen_utc_s == pytest.approx(3.9)


def test_ended_visits_never_go_down() -> None:
    watch, seen = Watch(), []
    for label in (MASKED, BARE, MASKED):
        watch.see(2.0, face(label))
        watch.see(10.0)
        seen.append(sum(watch.decider.ended.values()))
    assert seen == [1, 2, 3]


def test_the_models_own_threshold_counts_where_none_is_set() -> None:
    for certain, threshold, expected in (
        (None, 0.97, CANNOT_TELL),
        (0.9, 0.97, "with_mask"),
        (None, None, "with_mask"),
    ):
        decider = Decider(DecideConfig(certain=certain), LABELS, threshold=threshold)
        tracker, events = Tracker(TrackConfig()), []
        for step in range(30):
            events += decider.update(step / 10, step / 10, tracker.update(step / 10, [face(MASKED)]))
        assert events[0].after == expected
