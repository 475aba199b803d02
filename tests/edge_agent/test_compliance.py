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


def test_without_a_judged_visit_there_is_no_rate() -> None:
    compliance = Compliance("with_mask")
    compliance.add(end("cannot_tell"))
    rate = compliance.rate(10.0)
    assert (rate.rate, rate.low, rate.judged, rate.cannot_tell) == (None, None, 0, 1)


def test_visits_that_cannot_be_judged_stand_beside_the_rate() -> None:
    compliance = Compliance("with_mask")
    for label in ("with_mask", "with_mask", "without_mask", "mask_weared_incorrect", "cannot_tell"):
        compliance.add(end(label))
    rate = compliance.rate(10.0)
    assert (rate.correct, rate.judged, rate.cannot_tell, rate.rate) == (2, 4, 1, 0.5)


def test_only_the_end_of_a_visit_counts_and_a_poster_never() -> None:
    compliance = Compliance("with_mask")
    compliance.add(end("with_mask", kind="new"))
    compliance.add(end("with_mask", kind="update"))
    compliance.add(end(None))
    assert compliance.rate(0.0).judged == 0


def test_a_window_forgets_and_the_total_does_not() -> None:
    compliance = Compliance("with_mask", {"minute": 60.0})
    compliance.add(end("without_mask", at_s=0.0))
    compliance.add(end("with_mask", at_s=100.0))
    assert compliance.rate(110.0, "minute").rate == 1.0
    assert compliance.rate(110.0).rate == 0.5
    assert {(r.window, r.rate) for r in compliance.report(110.0) if r.camera is None} == {("minute", 1.0), (None, 0.5)}


def test_cameras_and_zones_have_their_own_rates() -> None:
    compliance = Compliance("with_mask", {"hour": 3600.0})
    compliance.add(end("with_mask", camera="door", zone="left"))
    compliance.add(end("without_mask", camera="door", zone="right"))
    compliance.add(end("without_mask", camera="hall"))
    assert compliance.rate(1.0, camera="door").rate == 0.5
    assert compliance.rate(1.0, camera="door", zone="left").rate == 1.0
    assert compliance.rate(1.0, "hour", zone="right").rate == 0.0
    assert compliance.rate(1.0, camera="hall").judged == 1
