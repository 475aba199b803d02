import pytest

from edge_agent.compliance import Compliance, wilson
from edge_agent.records import Box, Event


def end(
    label: str | None, at_s: float = 0.0, camera: str = "door", zone: str | None = None, kind: str = "end"
) -> Event:
    return Event(
        type=kind,  # type: ignore[arg-type]
        visit="v",
        camera=camera,
        track=1,
        before=label,
        after=label or "with_mask",
        counted_as=label,
        probabilities=(1.0, 0.0, 0.0),
        box=Box(0, 0, 1, 1),
        zone=zone,
        static=label is None,
        frames=9,
        at_s=at_s,
        utc_s=1e9 + at_s,
        first_seen_utc_s=1e9,
        last_seen_utc_s=1e9,
        duration_s=1.0,
    )


def test_wilsons_interval_is_the_published_one() -> None:
    # R: prop.test(8, 10, correct = FALSE)$conf.int
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 5) == pytest.approx((0.0, 0.4344825), abs=1e-6)


def share(
    compliance: Compliance, at_s: float, window: str = "start", camera: str | None = None, zone: str | None = None
):
    (rate,) = [rate for rate in compliance.report(at_s, [(camera, zone)]) if rate.window == window]
    return rate


def test_without_a_judged_visit_there_is_no_rate() -> None:
    compliance = Compliance()
    compliance.add(end("cannot_tell"), 0.0)
    rate = share(compliance, 10.0)
    assert (rate.rate, rate.low, rate.judged, rate.cannot_tell) == (None, None, 0, 1)


def test_visits_that_cannot_be_judged_stand_beside_the_rate() -> None:
    compliance = Compliance()
    for label in ("with_mask", "with_mask", "without_mask", "mask_weared_incorrect", "cannot_tell"):
        compliance.add(end(label), 0.0)
    rate = share(compliance, 10.0)
    assert (rate.correct, rate.judged, rate.cannot_tell, rate.rate) == (2, 4, 1, 0.5)
    assert (rate.low, rate.high) == pytest.approx(wilson(2, 4), abs=1e-4)


def test_only_the_end_of_a_visit_counts_and_a_poster_never() -> None:
    compliance = Compliance()
    compliance.add(end("with_mask", kind="new"), 0.0)
    compliance.add(end("with_mask", kind="update"), 0.0)
    compliance.add(end(None), 0.0)
    assert share(compliance, 0.0).judged == 0


def test_a_window_forgets_and_the_time_since_the_start_does_not() -> None:
    compliance = Compliance({"minute": 60.0, "start": float("inf")})
    compliance.add(end("without_mask"), 0.0)
    compliance.add(end("with_mask"), 100.0)
    assert share(compliance, 110.0, "minute").rate == 1.0
    assert share(compliance, 110.0).rate == 0.5
    assert share(compliance, 1000.0, "minute").rate is None
    assert share(compliance, 1000.0).judged == 2


def test_cameras_and_zones_have_their_own_rates() -> None:
    compliance = Compliance()
    compliance.add(end("with_mask", camera="door", zone="left"), 0.0)
    compliance.add(end("without_mask", camera="door", zone="right"), 0.0)
    compliance.add(end("without_mask", camera="hall"), 0.0)
    assert share(compliance, 1.0, "hour", "door").rate == 0.5
    assert share(compliance, 1.0, "day", "door", "left").rate == 1.0
    assert share(compliance, 1.0, "hour", "door", "right").rate == 0.0
    assert share(compliance, 1.0, "hour", "hall").judged == 1
    assert share(compliance, 1.0, "hour").judged == 3


def test_each_place_is_reported_also_where_nobody_was() -> None:
    rates = Compliance().report(0.0, [(None, None), ("door", None), ("door", "left")])
    assert [(r.window, r.camera, r.zone) for r in rates[:4]] == [
        ("hour", None, None),
        ("day", None, None),
        ("start", None, None),
        ("hour", "door", None),
    ]
    assert len(rates) == 9
    assert {(rate.judged, rate.rate) for rate in rates} == {(0, None)}


def test_more_visits_than_are_kept_leave_the_windows_early_and_stay_in_the_total(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_agent.compliance.VISITS_MOST", 10)
    compliance = Compliance()
    for n in range(25):
        compliance.add(end("with_mask"), float(n))
    assert share(compliance, 25.0, "day").judged == 10
    assert share(compliance, 25.0).judged == 25
