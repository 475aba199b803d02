import pytest

from edge_agent.timing import KEPT_SAMPLES, Stopwatch


def test_percentiles_are_of_the_samples_in_milliseconds() -> None:
    watch = Stopwatch()
    for milliseconds in range(1, 101):
        watch.add("detect", milliseconds / 1e3)
    assert watch.percentiles_ms() == {"detect": {"p50": pytest.approx(51), "p95": pytest.approx(96)}}


def test_memory_is_bounded_and_old_samples_are_forgotten() -> None:
    watch = Stopwatch()
    for _ in range(KEPT_SAMPLES):
        watch.add("detect", 9.0)
    for _ in range(KEPT_SAMPLES):
        watch.add("detect", 0.001)
    assert watch.percentiles_ms()["detect"]["p95"] == pytest.approx(1.0)


def test_a_stage_is_timed_by_the_clock_and_told_on() -> None:
    now = iter([1.0, 1.25])
    told: list[tuple[str, float]] = []
    with Stopwatch(lambda: next(now), lambda stage, seconds: told.append((stage, seconds))).stage("classify"):
        pass
    assert told == [("classify", 0.25)]
