"""Metrics: what Prometheus reads, checked with its own parser."""

import math

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
    for total in (2, 2, 5, 3):
        metrics.bring_up(metrics.dropped, total, "full")
        metrics.bring_up(metrics.saved, total)
    assert samples(metrics)["maskwatch_events_dropped_total", (("reason", "full"),)] == 5
    assert samples(metrics)["maskwatch_pictures_saved_total", ()] == 5


def test_a_camera_that_is_gone_leaves_no_people_status_or_last_frame_behind():
    metrics = Metrics()
    for camera in ("back", "hall"):
        metrics.people.labels(camera, "with_mask").set(2)
        metrics.camera_status(camera, "online")
        metrics.last_frame.labels(camera).set(1.7e9)
        metrics.frames.labels(camera, "processed").inc()
    metrics.forget_camera("back")
    left = {name for name, labels in samples(metrics) if ("camera", "back") in labels}
    assert {name.removesuffix("_created").removesuffix("_total") for name in left} == {"maskwatch_frames"}
    assert samples(metrics)["maskwatch_people", (("camera", "hall"), ("label", "with_mask"))] == 2


def test_a_machine_without_a_sensor_is_not_at_0_degrees():
    assert math.isnan(samples(Metrics())["maskwatch_temperature_celsius", ()])


def test_two_agents_in_one_process_do_not_share_a_registry():
    first, second = Metrics(), Metrics()
    first.published.inc(7)
    assert samples(second)["maskwatch_events_acknowledged_total", ()] == 0
