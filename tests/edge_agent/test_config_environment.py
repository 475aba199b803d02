"""Environment variables that stand for a whole section: they lie over the file's, as a single key's does."""

from pathlib import Path

import pytest

from edge_agent.config import load
from edge_agent.errors import ConfigError

FILE = '[mqtt]\nhost = "file"\nport = 1\n[[camera]]\nname = "a"\nsource = "0"\n[[camera]]\nname = "b"\nsource = "1"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(FILE)
    return path


def test_a_table_changes_the_keys_that_it_names(path):
    config = load(path, {"MASKWATCH_MQTT": '{host = "env", tls = {enabled = true}}'})
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.tls.enabled) == ("env", 1, True)
    assert load(None, {"MASKWATCH_MQTT": '{host = "env"}'}).mqtt.enabled


def test_a_list_of_cameras_stands_in_the_place_of_the_files(path):
    config = load(path, {"MASKWATCH_CAMERA": '[{name = "c", source = "2"}]'})
    assert [(camera.name, camera.source) for camera in config.camera] == [("c", "2")]


def test_a_variable_of_one_key_lies_over_that_of_the_section():
    env = {"MASKWATCH_MQTT": '{host = "x", port = 2}', "MASKWATCH_MQTT__PORT": "3"}
    assert (load(None, env).mqtt.host, load(None, env).mqtt.port) == ("x", 3)
    env = {"MASKWATCH_CAMERA": '[{source = "0"}, {name = "b", source = "1"}]', "MASKWATCH_CAMERA__1__SOURCE": "2"}
    assert [camera.source for camera in load(None, env).camera] == ["0", "2"]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (
            {"MASKWATCH_MQTT": "broker"},
            "MASKWATCH_MQTT is a whole section; write it as {key = value}, or set one key by",
        ),
        ({"MASKWATCH_MQTT": ""}, "MASKWATCH_MQTT is a whole section"),
        ({"MASKWATCH_CAMERA": "0"}, "MASKWATCH_CAMERA is a whole section; write it as [{key = value}]"),
        ({"MASKWATCH_CAMERA": "{}"}, "camera is {}; give a list"),
        ({"MASKWATCH_MQTT": "[]"}, "mqtt is []; give a table"),
        ({"MASKWATCH_MQTT": "{host: x}"}, "MASKWATCH_MQTT looks like a list or a table but is not TOML"),
        ({"MASKWATCH_MQTT": "{hots = 1}"}, "unknown key mqtt.hots; did you mean mqtt.host?"),
    ],
)
def test_what_is_no_section_is_refused(env, words):
    with pytest.raises(ConfigError) as caught:
        load(None, env)
    assert words in str(caught.value)
