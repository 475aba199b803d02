"""Health is true: what the loop says of itself, judged by the clock."""

from edge_agent.health import FRAMES_STALL_AFTER_S, LOOP_STALLS_AFTER_S, Health


class HandClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def started() -> tuple[Health, HandClock]:
    clock = HandClock()
    return Health(clock), clock


def test_before_the_first_frame_it_is_not_ready():
    health, _ = started()
    health.tick()
    assert not health.report().ready
    health.frame("hall")
    report = health.report()
    assert (report.ready, report.state, report.http_status) == (True, "ok", 200)


def test_a_camera_that_is_declared_away_makes_it_ready_failing_and_alive():
    health, clock = started()
    health.camera_status("hall", "offline", "no route to host")
    for _ in range(100):
        clock.now_s += 1
        health.tick()
    report = health.report()
    assert (report.ready, report.state, report.http_status) == (True, "failing", 503)
    assert report.reasons == ("camera hall is offline: no route to host",)
    assert health.alive()


def test_frames_that_stop_without_a_word_are_a_failure_and_end_the_watchdog():
    health, clock = started()
    health.camera_status("hall", "online")
    health.frame("hall")
    clock.now_s += FRAMES_STALL_AFTER_S + 1
    health.tick()
    assert not health.alive()
    assert health.report().reasons == ("camera hall gives no frames and does not say why",)
    health.camera_status("hall", "stalled", "no picture for 31 s")
    assert health.alive()
    assert health.report().http_status == 503


def test_a_loop_that_hangs_is_a_failure_even_where_a_stall_was_declared():
    health, clock = started()
    health.frame("hall")
    health.camera_status("hall", "stalled")
    clock.now_s += LOOP_STALLS_AFTER_S + 1
    assert not health.alive()
    assert "the loop has not turned for 16 s" in health.report().reasons


def test_a_broker_that_is_away_degrades_and_its_return_is_forgotten():
    health, _ = started()
    health.frame("hall")
    health.declare("mqtt", "broker b:1883 cannot be reached")
    assert (health.report().state, health.report().http_status) == ("degraded", 200)
    assert health.report().words == "degraded: broker b:1883 cannot be reached"
    health.declare("mqtt", None)
    assert health.report().state == "ok"


def test_a_moved_camera_still_counts_and_says_so():
    health, _ = started()
    health.frame("hall")
    health.camera_status("hall", "moved")
    assert (health.report().state, health.report().reasons) == ("degraded", ("camera hall has moved",))


def test_one_camera_of_two_that_is_dark_is_named():
    health, _ = started()
    for name in ("back", "hall"):
        health.camera_status(name, "online")
        health.frame(name)
    health.camera_status("back", "dark", "no light for 5 s")
    report = health.report()
    assert report.reasons == ("camera back is dark: no light for 5 s",)
    assert report.cameras == {"back": "dark", "hall": "online"}


def test_a_pause_and_the_end_of_a_file_are_no_stall():
    for calm in (lambda health: health.pause(["hall"]), lambda health: health.finish()):
        health, clock = started()
        health.frame("hall")
        calm(health)
        clock.now_s += FRAMES_STALL_AFTER_S + 1
        health.tick()
        assert health.alive()


def test_a_paused_camera_is_named_and_does_not_hide_the_silence_of_another():
    health, clock = started()
    for name in ("back", "hall"):
        health.frame(name)
    health.pause(["back"])
    assert health.report().reasons == ("camera back is paused by command",)
    clock.now_s += FRAMES_STALL_AFTER_S + 1
    health.tick()
    assert health.report().reasons[0] == "camera hall gives no frames and does not say why"
    assert not health.alive()


def test_a_camera_that_left_the_configuration_is_no_reason_any_more():
    health, clock = started()
    health.frame("hall")
    health.camera_status("back", "offline")
    health.forget_camera("back")
    clock.now_s += 1
    assert health.report().state == "ok"
    assert health.report().last_frame_age_s == {"hall": 1.0}


def test_a_clip_that_ended_beside_a_camera_is_no_reason_until_it_plays_again():
    health, clock = started()
    for name in ("hall", "clip"):
        health.frame(name)
    health.end_camera("clip")
    health.camera_status("clip", "offline", "the clip or folder has ended")
    clock.now_s += FRAMES_STALL_AFTER_S + 1
    health.frame("hall")
    assert (health.report().state, health.alive()) == ("ok", True)
    health.camera_status("clip", "online")
    health.frame("clip")  # a reload plays it again
    clock.now_s += FRAMES_STALL_AFTER_S + 1
    health.frame("hall")
    assert health.report().reasons == ("camera clip gives no frames and does not say why",)
