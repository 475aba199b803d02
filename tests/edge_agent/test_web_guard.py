"""Who may ask: Host, other sites, the token."""

from __future__ import annotations

import logging

import httpx
import pytest

from edge_agent.clock import SystemClock
from edge_agent.config import HttpConfig
from edge_agent.errors import ConfigError
from edge_agent.web import WebServer, WebSources, WebState
from edge_agent.web.guard import SECURITY_HEADERS
from web_support import encoded, picture, running

TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def guarded(tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return HttpConfig(host="0.0.0.0", port=0, token_file=tmp_path / "token")


@pytest.mark.parametrize(
    "path", ["/health", "/metrics", "/now", "/live.mjpg", "/snapshots/x", "/static/main.js", "/openapi.json"]
)
def test_without_the_token_nothing_is_told(guarded, path):
    with running(guarded) as on:
        answer = on.client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_token_opens_as_a_bearer(guarded):
    with running(guarded, token=TOKEN) as on:
        assert on.client.get("/health").status_code == 200


def test_the_token_in_an_address_is_of_no_use(guarded):
    with running(guarded) as on:
        assert on.client.get(f"/health?token={TOKEN}").status_code == 401


def test_a_browser_is_led_to_the_login_and_back(guarded):
    with running(guarded) as on:
        led = on.client.get("/")
        assert (led.status_code, led.headers["location"]) == (303, "/login")
        assert "Token" in on.client.get("/login").text
        logged_in = on.client.post("/login", data={"token": TOKEN})
        assert (logged_in.status_code, logged_in.headers["location"]) == (303, "/")
        cookie = logged_in.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in cookie
        assert on.client.get("/").status_code == 200
        on.client.post("/logout")
        assert on.client.get("/health").status_code == 401


def test_a_session_survives_a_restart_but_not_a_new_token(guarded):
    with running(guarded) as on:
        on.client.post("/login", data={"token": TOKEN})
        session = on.client.cookies["maskwatch"]
    with running(guarded) as on:
        assert on.client.get("/health", headers={"cookie": f"maskwatch={session}"}).status_code == 200
    guarded.token_file.write_text("another-token-of-some-length")
    with running(guarded) as on:
        assert on.client.get("/health", headers={"cookie": f"maskwatch={session}"}).status_code == 401


@pytest.mark.parametrize("cookie", ["", "x", "1.2.3", "99999999999.aa.", "9" * 5000, "\x80.a.b"])
def test_a_made_up_session_is_no_session(guarded, cookie):
    with running(guarded) as on:
        answer = on.client.get("/health", headers={"cookie": f"maskwatch={cookie}".encode("latin-1")})
    assert answer.status_code == 401


def test_who_guesses_waits(guarded):
    with running(guarded) as on:
        answers = [on.client.post("/login", data={"token": f"guess {n}"}).status_code for n in range(7)]
        assert answers == [401] * 5 + [429] * 2
        last = on.client.post("/login", data={"token": TOKEN})
    assert int(last.headers["retry-after"]) > 0


class SetClock(SystemClock):
    """The real one, put forward or back by a hand, and as much later as has passed."""

    def __init__(self) -> None:
        self.put_s = self.passed_s = 0.0

    def utc(self) -> float:
        return super().utc() + self.put_s + self.passed_s

    def monotonic(self) -> float:
        return super().monotonic() + self.passed_s


def test_who_guesses_waits_a_minute_whatever_is_done_to_the_clock(guarded):
    clock = SetClock()
    with running(guarded, clock=clock) as on:
        for n in range(5):
            on.client.post("/login", data={"token": f"guess {n}"})
        clock.put_s = 86_400
        assert on.client.post("/login", data={"token": TOKEN}).status_code == 429
        clock.put_s = -86_400
        clock.passed_s = 61
        assert on.client.post("/login", data={"token": TOKEN}).status_code == 303


def test_the_token_is_never_logged(guarded, caplog):
    with caplog.at_level(logging.DEBUG), running(guarded, token=TOKEN) as on:
        on.client.get(f"/health?token={TOKEN}")
        on.client.post("/login", data={"token": TOKEN})
        on.client.get("/nothing")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("edge_agent")]
    assert any("GET /nothing 404" in line for line in ours)
    assert not any(TOKEN in line for line in ours)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost:8080@evil", "", "192.168.1.9"])
def test_a_strange_host_header_is_refused_on_loopback(host):
    with running() as on:
        assert on.client.get("/health", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1234", "[::1]:80", "LOCALHOST:9"])
def test_the_devices_own_names_are_taken(host):
    with running() as on:
        assert on.client.get("/health", headers={"host": host}).status_code == 200


def test_on_the_network_addresses_and_configured_names_are_taken(guarded):
    config = guarded.model_copy(update={"allowed_hosts": ("masks.example",)})
    with running(config, token=TOKEN) as on:
        seen = {
            host: on.client.get("/health", headers={"host": host}).status_code
            for host in ("192.168.1.9:80", "masks.example", "evil.example")
        }
    assert seen == {"192.168.1.9:80": 200, "masks.example": 200, "evil.example": 421}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_site_changes_nothing(headers):
    with running(sources=WebSources(predictor=lambda: None)) as on:
        answer = on.client.post(
            "/predict", content=encoded(picture()), headers={"content-type": "image/jpeg", **headers}
        )
        assert answer.status_code == 403
        assert on.client.post("/logout", headers=headers).status_code == 403


def test_the_page_itself_may_post():
    with running() as on:
        origin = str(on.client.base_url).rstrip("/")
        assert on.client.post("/logout", headers={"origin": origin}).status_code == 303


def test_every_answer_forbids_foreign_scripts_frames_and_embedding():
    with running() as on:
        for path in ("/", "/health", "/nothing", "/live.jpg"):
            headers = on.client.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cross-origin-resource-policy"] == "same-origin"


def test_an_answer_about_a_crash_has_the_same_headers_and_its_status_is_logged(caplog):
    def crash() -> bytes:
        raise RuntimeError("the disk is on fire")

    with caplog.at_level(logging.INFO), running(sources=WebSources(metrics=crash)) as on:
        usual = on.client.get("/health").headers
        answer = on.client.get("/metrics")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "the disk is on fire" not in answer.text
    for name in SECURITY_HEADERS:
        assert answer.headers[name] == usual[name]
    assert answer.headers["cache-control"] == "no-store"
    assert any("GET /metrics 500" in record.getMessage() for record in caplog.records)


def test_a_short_token_is_refused_at_the_start(tmp_path):
    (tmp_path / "token").write_text("short")
    with pytest.raises(ConfigError, match="16 characters"):
        WebServer(HttpConfig(token_file=tmp_path / "token"), WebState(()))


@pytest.mark.parametrize("around", ["{} ", "\t{}\r\n", "\ufeff{}\n"])
def test_white_space_around_the_token_is_no_part_of_it(guarded, around):
    guarded.token_file.write_text(around.format("another-token-of-some-length"))
    with running(guarded) as on:
        headers = {"authorization": "Bearer another-token-of-some-length"}
        assert on.client.get("/stats", headers=headers).status_code == 200


def test_a_login_of_a_megabyte_is_cut_off(guarded):
    with running(guarded) as on:
        try:
            status = on.client.post("/login", content=b"token=" + b"x" * 1_000_000).status_code
        except httpx.WriteError:  # the server closed while we still sent
            status = 413
    assert status == 413
