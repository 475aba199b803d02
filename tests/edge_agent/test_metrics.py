"""Metrics: what Prometheus reads, checked with its own parser."""

from prometheus_client.parser import text_string_to_metric_families

from edge_agent.metrics import STATUSES, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_counters_gauges_and_histograms_can_be_read_by_prometheus():
    metrics = Metrics()
    metrics.frames.labels("hall", "processed").inc(3)
    metrics.stage("detect", 0.003)
    metrics.events.labels("hall", "new").inc()
    found = samples(metrics)
    assert found["maskwatch_frames_total", (("camera", "hall"), ("outcome", "processed"))] == 3
    assert found["maskwatch_stage_duration_seconds_bucket", (("le", "0.004"), ("stage", "detect"))] == 1
    assert found["maskwatch_stage_duration_seconds_bucket", (("le", "0.002"), ("stage", "detect"))] == 0
    assert found["process_resident_memory_bytes", ()] > 1e6


def test_names_have_the_prefix_base_units_and_help():
    metrics = Metrics()
    for family in text_string_to_metric_families(metrics.text().decode()):
        assert family.documentation
        assert family.name.startswith(("maskwatch_", "process_"))
        assert not family.name.endswith(("_ms", "_milliseconds", "_percent", "_mb"))


def test_a_camera_has_exactly_one_status():
    metrics = Metrics()
    metrics.camera_status("hall", "dark")
    metrics.camera_status("hall", "online")
    values = [samples(metrics)["maskwatch_camera_status", (("camera", "hall"), ("status", word))] for word in STATUSES]
    assert values == [1, 0, 0, 0, 0, 0, 0]


def test_drops_that_are_counted_elsewhere_are_brought_up_and_never_down():
    metrics = Metrics()
    for total in (2, 2, 5):
        metrics.dropped_totals({"full": total})
    assert samples(metrics)["maskwatch_events_dropped_total", (("reason", "full"),)] == 5


def test_two_agents_in_one_process_do_not_share_a_registry():
    first, second = Metrics(), Metrics()
    first.published.inc(7)
    assert samples(second)["maskwatch_events_acknowledged_total", ()] == 0
