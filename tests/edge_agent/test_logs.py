"""Logging: levels, JSON, repeats held back, and never a secret."""

import io
import json
import logging
from pathlib import Path

import pytest

from edge_agent import logs, redact
from edge_agent.config import LogConfig, read_secret

PLANTED = "planted-secret-7a1"


@pytest.fixture
def written():
    """Set logging up on a text stream, and put everything back."""
    root = logging.getLogger()
    handlers, level, known = list(root.handlers), root.level, set(redact._secrets)

    def start(config: LogConfig | None = None, secrets: tuple[str, ...] = (), **more: object) -> io.StringIO:
        stream = io.StringIO()
        for secret in secrets:
            redact.hide(secret)
        logs.setup(config or LogConfig(), stream=stream, **more)
        return stream

    yield start
    redact._secrets.clear()
    redact._secrets.update(known)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("json_lines", [False, True])
def test_a_planted_secret_never_appears_whatever_way_it_takes(written, json_lines):
    stream = written(json_lines=json_lines, secrets=(PLANTED, f"user:colon-{PLANTED}"), env={})
    log = logging.getLogger("edge_agent.x")
    log.error("password is %s", PLANTED)
    log.error("the part alone: colon-%s", PLANTED)
    log.warning("rtsp://admin:%s@10.0.0.1/stream gives nothing", "another-one")
    log.warning("quoted http://u:p%%20q@host and %r", {"a": PLANTED})
    try:
        raise ValueError(f"deep inside {PLANTED} http://me:another-one@h/")
    except ValueError:
        log.exception("it went wrong with %s", PLANTED)
    text = stream.getvalue()
    assert PLANTED not in text
    assert "another-one" not in text
    assert "p%20q" not in text
    assert "rtsp://***@10.0.0.1/stream" in text
    assert "ValueError" in text


def test_a_json_line_is_one_object_with_time_level_and_place(written):
    stream = written(json_lines=True, env={})
    logging.getLogger("edge_agent.mqtt").warning("two\nlines and “quotes”")
    line = json.loads(stream.getvalue())
    assert line["level"] == "warning"
    assert line["from"] == "edge_agent.mqtt"
    assert line["message"] == "two\nlines and “quotes”"
    assert line["at"].endswith("Z")
    assert stream.getvalue().count("\n") == 1


def test_a_secret_is_hidden_from_the_moment_it_is_read(written, tmp_path):
    stream = written(env={})
    (tmp_path / "camera").write_text(f"user:{PLANTED}\n")
    read_secret(tmp_path / "camera", "camera.credentials_file")
    logging.getLogger("a").warning("http://cam/video?pwd=another-one: %s is refused", PLANTED)
    assert "http://cam/video?pwd=*** *** is refused" in stream.getvalue()


def stream_id(path: Path) -> str:
    return f"{path.stat().st_dev}:{path.stat().st_ino}"


@pytest.mark.usefixtures("written")
def test_under_the_journal_each_line_has_its_level_and_no_time(tmp_path):
    path = tmp_path / "journal"
    with path.open("w+") as journal:
        logs.setup(LogConfig(), stream=journal, env={"JOURNAL_STREAM": stream_id(path)})
        logging.getLogger("a").error("first\nsecond")
        logging.getLogger("a").info("fine")
    assert path.read_text() == "<3>a: first\n<3>second\n<6>a: fine\n"


@pytest.mark.usefixtures("written")
def test_a_terminal_that_inherits_the_journals_name_is_none(tmp_path):
    (tmp_path / "journal").touch()
    with (tmp_path / "terminal").open("w+") as terminal:
        logs.setup(LogConfig(), stream=terminal, env={"JOURNAL_STREAM": stream_id(tmp_path / "journal")})
        logging.getLogger("a").info("fine")
    assert "INFO    a: fine" in (tmp_path / "terminal").read_text()


def test_control_characters_of_a_hostile_text_do_not_reach_the_terminal(written):
    stream = written(env={})
    logging.getLogger("a").warning("camera \x1b[2J\x07 name")
    assert "\x1b" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()


def test_levels_below_the_one_asked_for_are_not_written(written):
    stream = written(LogConfig(level="warning"), env={})
    logging.getLogger("a").info("quiet")
    logging.getLogger("a").warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_a_repeated_warning_is_held_back_and_counted_and_another_is_not():
    now = [0.0]
    held = logs.HoldBackRepeats(60, lambda: now[0])

    def passes(level: int, message: str, *values: object) -> logging.LogRecord | None:
        record = logging.LogRecord("a", level, "", 0, message, values, None)
        return record if held.filter(record) else None

    assert passes(logging.WARNING, "camera %s is away for %d s", "hall", 1)
    assert passes(logging.WARNING, "camera %s is away for %d s", "hall", 2) is None
    assert passes(logging.WARNING, "camera %s is away for %d s", "hall", 3) is None
    assert passes(logging.WARNING, "camera %s is away for %d s", "door", 3)
    assert passes(logging.INFO, "request")
    assert passes(logging.INFO, "request")
    now[0] = 61.0
    again = passes(logging.WARNING, "camera %s is away for %d s", "hall", 60)
    assert again is not None
    assert again.getMessage() == "camera hall is away for 60 s (and 2 more like it since)"
