"""Values that were taken in silence and did something else than they say."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from edge_agent.cli import main
from edge_agent.config import Config, load
from edge_agent.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def refusal(**sections: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load(None, {}, sections)
    return str(caught.value)


def numbers() -> list[tuple[str, str]]:
    """Every key of a section that takes a number."""
    found = []
    for section in Config.model_fields:
        if section != "camera":
            for key, value in getattr(load(None, {}), section):
                if isinstance(value, int | float) and not isinstance(value, bool):
                    found.append((section, key))
    return found


@pytest.mark.parametrize(("section", "key"), numbers())
def test_true_is_no_number(section, key):
    for value in (True, False):
        assert f"{section}.{key} is {str(value).lower()}; give a " in refusal(**{section: {key: value}})


def test_true_is_no_number_of_a_camera_a_zone_or_an_unset_key():
    camera = {"source": "0"}
    assert "camera[0].width_px is true; give a whole number" in refusal(camera=[{**camera, "width_px": True}])
    zone = {"name": "in", "polygon": [[0, 0], [True, 0], [1, 1]]}
    assert "camera[0].zones[0].polygon[1][0] is true; give a number" in refusal(camera=[{**camera, "zones": [zone]}])
    assert "detector.score is true; give a number" in refusal(detector={"score": True})
    assert "camera[0].source is true; give a text" in refusal(camera=[{"source": True}])
    assert "mqtt.username is true; give a text" in refusal(mqtt={"username": True})


def test_numbers_and_switches_of_the_environment_are_texts():
    env = {"MASKWATCH_HTTP__PORT": "81", "MASKWATCH_HTTP__LIVE": "false", "MASKWATCH_STATS__INTERVAL_S": "2.5"}
    config = load(None, env)
    assert (config.http.port, config.http.live, config.stats.interval_s) == (81, False, 2.5)


@pytest.mark.parametrize(
    "host",
    ["mqtt://broker", " broker", "broker ", "a/b", "broker:1883", "[::1]", "a b", "a\n", "mqtts://me:planted-secret@b"],
)
def test_a_host_is_a_name_or_an_address_alone(host):
    for section in ("mqtt", "http"):
        said = refusal(**{section: {"host": host}})
        assert f"{section}.host: " in said
        assert "is no host; give a name or an address alone, without scheme, port or path" in said
        assert "planted-secret" not in said
        assert "\n" not in said


@pytest.mark.parametrize(
    "host", ["broker", "broker.lan.", "my_broker", "192.168.1.2", "::1", "fe80::1%eth0", "b\u00fcro.local"]
)
def test_names_and_addresses_are_hosts(host):
    assert load(None, {}, {"mqtt": {"host": host}}).mqtt.host == host


@pytest.mark.parametrize("name", ["http://x", "", "x:8443", "*.lan", "x/", "[fe80::1]"])
def test_a_name_that_no_visitor_can_type_is_refused(name):
    assert f"http.allowed_hosts[1]: {name!r} is no host; give a name" in refusal(
        http={"allowed_hosts": ["a.lan", name]}
    )


def test_width_and_height_come_together():
    for key in ("width_px", "height_px"):
        assert refusal(camera=[{"source": "0", key: 640}]) == "camera[0]: give width_px and height_px, or neither"
    assert load(None, {}, {"camera": [{"source": "0", "width_px": 640, "height_px": 480}]}).camera[0].width_px == 640


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ('host = "x"\nenabled = false', "mqtt.enabled is false: nothing is published"),
        ("enabled = false", "mqtt.host is not set: nothing is published"),
        ("", "mqtt.host is not set: nothing is published"),
        ('host = "x"', ""),
    ],
)
def test_the_note_about_the_broker_names_the_key_that_is_missing(tmp_path, capsys, lines, note):
    path = write(tmp_path, f'[[camera]]\nsource = "0"\n[mqtt]\n{lines}\n')
    assert main(["check-config", "--quiet", str(path)]) == 0
    assert capsys.readouterr().err.strip() == (note and f"note: {note}")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_bytes(b'\xef\xbb\xbf[device]\nname = "door"\n')
    assert load(path, {}).device.name == "door"


def test_a_section_made_in_python_refuses_the_same():
    with pytest.raises(ValidationError):
        Config.model_validate({"http": {"port": True}})
