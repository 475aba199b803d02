"""The reporter without a broker: events file, figures, health, the lock of the state directory."""

import json
import logging
import subprocess

import pytest

from broker_support import free_port, until, visit
from disks import disk_of
from edge_agent.config import Config, load
from edge_agent.errors import NotFoundError, UnavailableError
from edge_agent.health import Health
from edge_agent.host import Host
from edge_agent.identity import client_id, installation_id
from edge_agent.messages import EventMessage, Info, LoopFigures, StatsMessage
from edge_agent.metrics import Metrics
from edge_agent.report import Reporter

INFO = Info(version="1", labels=("with_mask", "without_mask", "mask_weared_incorrect"))


class HandClock:
    def __init__(self) -> None:
        self.now_s = 50.0
        self.utc_s = 1.7e9

    def monotonic(self) -> float:
        return self.now_s

    def utc(self) -> float:
        return self.utc_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def configured(**sections: object) -> Config:
    return load(None, {}, {"device": {"name": "door"}, "camera": [{"name": "hall", "source": "0"}], **sections})


def test_the_events_file_has_what_goes_out_one_a_line(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"from": "before"}\n')
    reporter = Reporter(configured(), tmp_path / "state", INFO, events_file=path)
    reporter.start()
    told = [reporter.event(visit(number, kind)) for number, kind in enumerate(("new", "update", "end"))]
    reporter.close()
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines[1:]] == told
    assert [EventMessage.model_validate_json(line).type for line in lines[1:]] == ["new", "update", "end"]


def test_without_a_broker_nothing_is_spooled(tmp_path):
    reporter = Reporter(configured(), tmp_path / "state", INFO)
    reporter.start()
    reporter.event(visit(1))
    assert not (tmp_path / "state" / "spool.db").exists()
    assert not reporter.snapshot("hall", b"jpeg")
    reporter.close()


def test_an_events_file_in_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="give another --events"):
        Reporter(configured(), tmp_path, INFO, events_file=tmp_path / "no" / "events.jsonl")


@pytest.fixture
def small_disk(tmp_path):
    """Room for some twenty events."""
    with disk_of("16k", tmp_path / "small") as folder:
        yield folder


def test_events_wait_for_a_full_disk_and_health_says_so_until_it_has_room(tmp_path, small_disk):
    health, path = Health(), small_disk / "events.jsonl"
    reporter = Reporter(configured(), tmp_path / "state", INFO, health=health, events_file=path)
    told = [reporter.event(visit(number)) for number in range(60)]
    assert "No space left on device" in health.report().reasons[0]
    assert path.read_bytes().count(b"\n") < 60
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    reporter.stats(LoopFigures())
    assert health.report().reasons == ()
    told.append(reporter.event(visit(60)))
    reporter.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == told
    assert reporter.events_lost is None


def test_events_that_a_disk_never_took_are_counted(tmp_path, small_disk):
    path = small_disk / "events.jsonl"
    reporter = Reporter(configured(), tmp_path / "state", INFO, events_file=path)
    told = [reporter.event(visit(number)) for number in range(600)]  # more than wait
    reporter.close()
    whole = path.read_bytes().count(b"\n")
    assert 0 < whole < 60
    assert f"{len(told) - whole} events are missing in {path}" in reporter.events_lost


def test_a_second_agent_on_one_state_directory_is_refused_until_the_first_is_gone(tmp_path):
    first = Reporter(configured(), tmp_path, INFO)
    first.start()
    with pytest.raises(UnavailableError, match="in use by another agent"):
        Reporter(configured(), tmp_path, INFO).start()
    first.close()
    third = Reporter(configured(), tmp_path, INFO)
    third.start()
    third.close()


def test_stats_are_due_by_their_interval_and_say_what_the_loop_knows(tmp_path):
    clock = HandClock()
    reporter = Reporter(configured(), tmp_path, INFO, clock=clock, health=Health(clock.monotonic))
    assert reporter.stats_due()
    sent = reporter.stats(LoopFigures(people={"with_mask": 3}, frames=10, fps=5.0), paused=True, threshold=0.5)
    assert not reporter.stats_due()
    clock.sleep(10)
    assert reporter.stats_due()
    assert (sent["people"], sent["frames"], sent["paused"], sent["threshold"]) == ({"with_mask": 3}, 10, True, 0.5)
    assert sent["host"]["resident_bytes"] > 1e6
    assert StatsMessage.model_validate(sent).uptime_s == 0


def test_a_clock_that_jumps_does_not_disturb_stats_or_order(tmp_path):
    clock = HandClock()
    reporter = Reporter(configured(), tmp_path, INFO, clock=clock)
    reporter.stats(LoopFigures())
    clock.utc_s -= 3600
    assert not reporter.stats_due()
    clock.sleep(10)
    second = reporter.stats(LoopFigures())
    assert (second["seq"], second["uptime_s"]) == (2, 10)


def test_people_status_and_events_reach_metrics_and_health(tmp_path):
    health, metrics = Health(), Metrics()
    reporter = Reporter(configured(), tmp_path, INFO, health=health, metrics=metrics)
    reporter.people("hall", {"with_mask": 2})
    reporter.camera_status("hall", "dark", "no light")
    reporter.event(visit(1, "end"))
    text = metrics.text().decode()
    assert 'maskwatch_people{camera="hall",label="with_mask"} 2.0' in text
    assert 'maskwatch_camera_status{camera="hall",status="dark"} 1.0' in text
    assert 'maskwatch_visits_total{camera="hall",label="with_mask"} 1.0' in text
    assert "maskwatch_healthy 0.0" in text
    assert health.report().reasons == ("camera hall is dark: no light",)


def test_a_reload_that_fails_is_said_by_health_until_one_succeeds(tmp_path):
    health = Health()
    reporter = Reporter(configured(), tmp_path, INFO, health=health)
    reporter.reload_failed("mqtt.port is 0")
    assert health.report().reasons == ("reload refused: mqtt.port is 0",)
    reporter.reloaded(configured(), INFO)
    assert health.report().reasons == ()


def test_a_devices_new_name_waits_for_the_restart_in_events_and_stats(tmp_path):
    reporter = Reporter(configured(), tmp_path, INFO)
    reporter.reloaded(configured(device={"name": "hall-2"}), INFO)
    assert (reporter.event(visit(1))["device"], reporter.stats(LoopFigures())["device"]) == ("door", "door")


def test_a_planted_password_appears_nowhere_but_in_its_file(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "planted-secret-9f3"
    (tmp_path / "pw").write_text(secret)
    mqtt = {"host": "127.0.0.1", "port": free_port(), "username": "u", "password_file": str(tmp_path / "pw")}
    health, metrics = Health(), Metrics()
    state, events = tmp_path / "state", tmp_path / "events.jsonl"
    reporter = Reporter(configured(mqtt=mqtt), state, INFO, health=health, metrics=metrics, events_file=events)
    reporter.start()
    sent = [reporter.event(visit(1)), reporter.stats(LoopFigures())]
    assert until(lambda: health.report().reasons)
    reporter.close()
    everything = caplog.text + str(sent) + str(health.report()) + metrics.text().decode()
    assert secret not in everything
    for path in [*state.rglob("*"), events]:
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_client_ids_differ_between_installations_and_hardware_and_stay_over_restarts(tmp_path):
    first = client_id("door", tmp_path / "a", "board-1")
    assert first == client_id("door", tmp_path / "a", "board-1")
    assert first != client_id("door", tmp_path / "b", "board-1")
    assert first != client_id("door", tmp_path / "a", "board-2"), "two copies of one SD card"
    assert len(client_id("d" * 63, tmp_path / "a")) <= 64


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"../../etc", b"x" * 500])
def test_a_broken_installation_id_is_made_anew(tmp_path, content):
    (tmp_path / "installation-id").write_bytes(content)
    made = installation_id(tmp_path)
    assert len(made) == 32
    assert installation_id(tmp_path) == made


def test_host_figures_are_none_where_the_machine_has_none(tmp_path):
    figures = Host(tmp_path, root=tmp_path).figures()
    assert figures.resident_bytes is None
    assert figures.temperature_celsius is None
    assert figures.disk_free_bytes > 0


def test_a_machine_out_of_file_descriptors_has_no_temperature(tmp_path, monkeypatch):
    def refused(self, pattern):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("pathlib.Path.glob", refused)
    assert Host(tmp_path, root=tmp_path).temperature_celsius() is None


def test_the_hottest_believable_zone_is_the_temperature(tmp_path):
    for number, text in enumerate(("41500", "62000", "999999", "broken")):
        zone = tmp_path / "sys/class/thermal" / f"thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(text)
    assert Host(tmp_path, root=tmp_path).temperature_celsius() == 62.0
