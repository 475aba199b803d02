"""What systemd is told, on a real datagram socket where it matters."""

import os
import socket

from edge_agent.health import FRAMES_STALL_AFTER_S, Health
from edge_agent.systemd import Systemd


class HandClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def watched(**env: str) -> tuple[Systemd, Health, HandClock, list[str]]:
    clock, said = HandClock(), []
    health = Health(clock)
    systemd = Systemd(health, {"WATCHDOG_USEC": "30000000", **env}, clock, said.append)
    return systemd, health, clock, said


def test_ready_goes_out_after_the_first_frame_and_once():
    systemd, health, clock, said = watched()
    health.tick()
    systemd.beat()
    assert said[-1] == "STATUS=starting: no frame yet"
    assert "READY=1" not in said
    health.frame("hall")
    for _ in range(5):
        clock.now_s += 5
        health.frame("hall")
        systemd.beat()
    assert said.count("READY=1") == 1
    assert "STATUS=ok: frames come" in said


def test_ready_goes_out_where_a_degraded_state_is_declared():
    systemd, health, _, said = watched()
    health.tick()
    health.camera_status("hall", "offline", "no route to host")
    systemd.beat()
    assert said[0] == "READY=1"
    assert "STATUS=failing: camera hall is offline: no route to host" in said


def test_the_watchdog_is_fed_while_frames_progress_and_three_times_within_its_time():
    systemd, health, clock, said = watched()
    for _ in range(60):
        clock.now_s += 1
        health.frame("hall")
        systemd.beat()
    assert 5 <= said.count("WATCHDOG=1") <= 7


def test_a_change_is_said_at_once_and_the_same_words_once():
    systemd, health, clock, said = watched()
    health.frame("hall")
    for reason in (None, "reload refused: mqtt.port is 0", "reload refused: mqtt.port is 0", None):
        health.declare("reload", reason)
        clock.now_s += 0.5
        systemd.beat()
    words = [word for word in said if word.startswith("STATUS=")]
    assert words == [
        "STATUS=ok: frames come",
        "STATUS=degraded: reload refused: mqtt.port is 0",
        "STATUS=ok: frames come",
    ]


def test_the_watchdog_is_not_fed_when_frames_stop_without_a_word():
    systemd, health, clock, said = watched()
    health.frame("hall")
    systemd.beat()
    clock.now_s += FRAMES_STALL_AFTER_S + 1
    health.tick()
    said.clear()
    systemd.beat()
    assert "WATCHDOG=1" not in said
    health.camera_status("hall", "stalled", "no picture for 31 s")
    clock.now_s += 10
    health.tick()
    systemd.beat()
    assert "WATCHDOG=1" in said


def test_a_watchdog_meant_for_another_process_is_left_alone():
    systemd, health, _, said = watched(WATCHDOG_PID="1")
    health.frame("hall")
    systemd.beat()
    assert "WATCHDOG=1" not in said


def test_without_a_service_manager_nothing_happens():
    health = Health()
    systemd = Systemd(health, {})
    health.frame("hall")
    systemd.beat()
    systemd.reloading(True)
    systemd.stopping()
    assert health.report().ready


def test_the_words_arrive_on_the_socket_that_systemd_gives(tmp_path, monkeypatch):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        health = Health()
        systemd = Systemd(health)
        health.frame("hall")
        systemd.beat()
        systemd.stopping("told to\nstop")
        heard = [listener.recv(500).decode() for _ in range(4)]
    assert heard == ["READY=1", "WATCHDOG=1", "STATUS=ok: frames come", "STOPPING=1\nSTATUS=told to stop"]
