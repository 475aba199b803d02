"""The configuration: what is read, what is refused, and in which words."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.classify import SHIPPED
from edge_agent.cli import main
from edge_agent.config import Config, load, read_secret
from edge_agent.config.show import effective, fingerprint, to_toml
from edge_agent.detect import SHIPPED as SHIPPED_DETECTOR
from edge_agent.errors import ConfigError, MaskwatchError
from edge_agent.model_file import Golden, pack
from edge_agent.model_file import load as load_model
from edge_agent.run_command import SAMPLE


def write(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def refusal(path: Path | None = None, env: dict[str, str] | None = None, **overrides: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, env or {}, overrides)
    assert caught.value.exit_status == 78
    return str(caught.value)


def test_nothing_given_is_a_complete_configuration():
    config = load(None, {})
    assert config.mqtt.enabled is False
    assert config.http.host == "127.0.0.1"
    assert config.detector.kind == "tflite"
    assert config.device.name


def test_a_file_is_read_and_frozen(tmp_path):
    config = load(write(tmp_path, '[device]\nname = "door"\n[[camera]]\nname = "hall"\nsource = 0\n'), {})
    assert (config.device.name, config.camera[0].name, config.camera[0].source) == ("door", "hall", "0")
    with pytest.raises(ValueError, match="frozen"):
        config.device.name = "other"


def test_an_unknown_key_is_refused_with_a_suggestion(tmp_path):
    assert "unknown key mqtt.prot; did you mean mqtt.port?" in refusal(write(tmp_path, "[mqtt]\nprot = 1\n"))
    assert "unknown key camera[0].sorce; did you mean camera[0].source?" in refusal(
        write(tmp_path, '[[camera]]\nsource = "0"\nsorce = "1"\n')
    )
    assert "unknown key zzz; known here:" in refusal(write(tmp_path, "zzz = 1\n"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[mqtt]\nport = 0", "mqtt.port is 0; give a whole number from 1 to 65535"),
        ("[mqtt]\nport = 'x'", "mqtt.port is 'x'; give a whole number from 1 to 65535"),
        ("[detector]\nkind = 'yolo'", "detector.kind is 'yolo'; give one of tflite, yunet, haar"),
        ("[http]\nenabled = 7", "http.enabled is 7; give true or false"),
        ("[device]\nname = 'Front Door'", "device.name is 'Front Door'; give a name of a-z, 0-9"),
        ("[device]\nname = 'a/b'", "give a name of a-z, 0-9"),
        ("[[camera]]\nname = 'a'", "camera[0].source is missing"),
        ("[[camera]]\nsource = ''", "camera[0].source is ''; give a text that is not empty"),
        ("camera = 3", "camera is 3; give a list"),
        ("[http]\nhost = '0.0.0.0'", "others can reach; set token_file"),
        ("[mqtt]\npassword_file = 'p'", "password_file is set and username is not"),
        ("[mqtt.tls]\nca_file = 'ca.pem'", "set enabled = true"),
        ("[mqtt.tls]\nenabled = true\ncert_file = 'c.pem'", "give cert_file and key_file, or neither"),
        ("[[camera]]\nname='a'\nsource=0\n[[camera]]\nname='a'\nsource=1", "two cameras are called 'a'"),
        ("[detector]\nscore = 1.5", "detector.score is 1.5; give a number above 0 and below 1"),
        ("[mqtt\n", "is not TOML"),
    ],
)
def test_a_wrong_value_is_refused_by_key_value_and_remedy(tmp_path, text, words):
    path = write(tmp_path, text)
    message = refusal(path)
    assert words in message
    assert str(path) in message
    assert "\n" not in message


def test_the_environment_lies_over_the_file_and_overrides_over_both(tmp_path):
    path = write(tmp_path, '[mqtt]\nhost = "file"\nport = 1\n[[camera]]\nname = "a"\nsource = "0"\n')
    env = {"MASKWATCH_MQTT__HOST": "env", "MASKWATCH_MQTT__PORT": "2", "MASKWATCH_CAMERA__0__SOURCE": "1", "PATH": "/"}
    config = load(path, env, {"mqtt": {"port": 3}})
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.enabled) == ("env", 3, True)
    assert (config.camera[0].name, config.camera[0].source) == ("a", "1")


def test_the_environment_adds_cameras_lists_and_nested_tables():
    env = {
        "MASKWATCH_CAMERA__0__SOURCE": "0",
        "MASKWATCH_CAMERA__1__SOURCE": "1",
        "MASKWATCH_CAMERA__1__NAME": "back",
        "MASKWATCH_CAMERA__1__ZONES": '[{name = "door", polygon = [[0, 0], [1, 0], [1, 1]]}]',
        "MASKWATCH_MQTT__HOMEASSISTANT__ENABLED": "false",
    }
    config = load(None, env)
    assert [camera.name for camera in config.camera] == ["camera", "back"]
    assert config.camera[1].zones[0].polygon[1] == (1, 0)
    assert config.mqtt.homeassistant.enabled is False


def test_an_unknown_environment_variable_is_refused_as_a_key():
    assert "unknown key mqtt.hots; did you mean mqtt.host?" in refusal(env={"MASKWATCH_MQTT__HOTS": "x"})


def test_an_environment_variable_with_one_underscore_is_refused_and_a_stranger_is_left_alone():
    assert refusal(env={"MASKWATCH_MQTT_HOST": "x"}).endswith("by two underscores: MASKWATCH_MQTT__HOST")
    assert load(None, {"MASKWATCH_MLFLOW_PORT": "5000", "MASKWATCH_DATA": "/data"}) == load(None, {})


def test_a_wrong_address_is_shown_without_its_account():
    message = refusal(
        camera=[
            {"source": "rtsp://admin:planted-secret@cam/1", "name": "A B"},
            {"source": ["rtsp://u:planted-secret@x"]},
        ]
    )
    assert "planted-secret" not in message


def test_secrets_are_found_among_credentials_first_then_beside_the_file(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt").write_text("from systemd\n")
    (credentials / "maskwatch_camera").write_text("u:p")
    text = '[mqtt]\nhost = "b"\nusername = "u"\npassword_file = "mqtt"\n[http]\ntoken_file = "token"\n'
    text += '[[camera]]\nsource = "rtsp://c/1"\ncredentials_file = "camera"\n'
    config = load(write(tmp_path, text), {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert config.mqtt.password_file == credentials / "mqtt"
    assert config.camera[0].credentials_file == credentials / "maskwatch_camera"
    assert config.http.token_file == tmp_path / "token"
    assert read_secret(config.mqtt.password_file, "mqtt.password_file") == "from systemd"


def test_without_systemd_secrets_are_found_where_systemd_would_take_them_from(tmp_path):
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "mqtt-password").write_text("secret\n")
    text = '[mqtt]\nhost = "b"\nusername = "u"\npassword_file = "mqtt-password"\n'
    assert load(write(tmp_path, text), {}).mqtt.password_file == tmp_path / "credentials" / "mqtt-password"
    (tmp_path / "given").mkdir()
    given = load(write(tmp_path, text), {"CREDENTIALS_DIRECTORY": str(tmp_path / "given")})
    assert given.mqtt.password_file == tmp_path / "mqtt-password", "the service sees what systemd gives it, and no more"


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another account needs root")
def test_a_folder_of_credentials_that_may_not_be_read_is_said(tmp_path):
    (tmp_path / "credentials").mkdir(mode=0o700)
    (tmp_path / "credentials" / "mqtt-password").write_text("secret\n")
    path = write(tmp_path, '[mqtt]\nhost = "b"\nusername = "u"\npassword_file = "mqtt-password"\n')
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)  # pytest's own folders are closed to others
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigError, match="Permission denied; make it readable for this account"):
            read_secret(load(path, {}).mqtt.password_file, "mqtt.password_file")
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"\xff\xfe", "not UTF-8"), (b"x" * 70_000, "over 65536 bytes")]
)
def test_a_secret_that_is_none_is_refused_without_showing_it(tmp_path, content, words):
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_secret(path, "mqtt.password_file")
    with pytest.raises(ConfigError, match="cannot read"):
        read_secret(tmp_path / "absent", "mqtt.password_file")


def test_a_file_that_is_not_there_or_is_a_folder_is_one_line(tmp_path):
    assert "cannot read the configuration" in refusal(tmp_path / "absent.toml")
    assert "cannot read the configuration" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        (
            "[[0, 0], [640, 0], [640, 480]]",
            "zones[0].polygon[1][0]: 640 is no share of the picture; give 0 to 1: pixels",
        ),
        ("[[0, 0], [1, -0.1], [1, 1]]", "zones[0].polygon[1][1]: -0.1 is no share of the picture"),
        ("[[0, 0], [1, 0], [1, nan]]", "zones[0].polygon[2][1]: nan is no share of the picture"),
        ("[[0, 0], [inf, 0], [1, 1]]", "zones[0].polygon[1][0]: inf is no share of the picture"),
        ("[[0, 0], [0.3, 0.3], [0.9, 0.9]]", "zones[0].polygon: all 3 corners lie on one line; give at least three"),
        ("[[0, 0], [1, 0], [0, 0], [1, 1]]", "zones[0].polygon: corner [2] is corner [0] again, [0.0, 0.0]; give each"),
        (
            "[[0, 0], [1, 1], [1, 0], [0, 1]]",
            "zones[0].polygon: the line from corner [0] crosses the one from corner [2]",
        ),
        ("[[0, 0], [1, 0]]", "zones[0].polygon is [[0, 0], [1, 0]]; give a list of at least 3"),
        ("[[0, 0, 0], [1, 0], [1, 1]]", "zones[0].polygon[0] is [0, 0, 0]; give a list of 2"),
    ],
    ids=["pixels", "negative", "nan", "inf", "line", "twice", "crossed", "two", "three numbers"],
)
def test_check_config_refuses_a_zone_that_encloses_nothing_of_the_picture(tmp_path, capsys, polygon, words):
    zone = f"[[camera]]\nsource = '0'\nzones = [{{name = 'in', polygon = {polygon}}}]\n"
    assert main(["check-config", str(write(tmp_path, zone))]) == 78
    assert f"camera[0].{words}" in capsys.readouterr().err


def test_a_polygon_may_be_closed_by_its_first_corner(tmp_path):
    zone = "[[camera]]\nsource = '0'\nzones = [{name = 'in', polygon = [[0, 0], [1, 0], [1, 1], [0, 0]]}]\n"
    assert load(write(tmp_path, zone), {}).camera[0].zones[0].polygon == ((0, 0), (1, 0), (1, 1))


def test_two_zones_of_one_camera_have_two_names_and_those_of_two_cameras_need_not(tmp_path):
    zone = "{name = 'in', polygon = [[0, 0], [1, 0], [1, 1]]}"
    twice = f"[[camera]]\nsource = '0'\nzones = [{zone}, {zone}]\n"
    assert "camera[0].zones: [0] and [1] are both called 'in'; give each" in refusal(write(tmp_path, twice))
    each = "".join(f"[[camera]]\nname = '{name}'\nsource = '0'\nzones = [{zone}]\n" for name in "ab")
    assert len(load(write(tmp_path, each), {}).camera) == 2


def test_the_effective_configuration_is_read_back_as_the_same(tmp_path):
    text = """
    [device]
    name = "door"
    [[camera]]
    name = "hall"
    source = "clip \\"one\\".mp4"
    zones = [{name = "in", polygon = [[0, 0], [0.5, 0], [1, 1]]}]
    [mqtt]
    host = "broker"
    """
    config = load(write(tmp_path, text), {})
    again = load(write(tmp_path, to_toml(effective(config))), {})
    assert again == config
    assert fingerprint(again) == fingerprint(config)


def test_check_config_shows_what_is_in_use_and_no_secret(tmp_path, capsys, monkeypatch):
    (tmp_path / "pw").write_text("planted-secret")
    text = (
        '[mqtt]\nhost = "b"\nusername = "u"\npassword_file = "pw"\n[[camera]]\nsource = "rtsp://a:planted-secret@h/1"\n'
        '[[camera]]\nname = "second"\nsource = "http://h/v?pwd=planted-secret"\n'
    )
    assert main(["check-config", str(write(tmp_path, text))]) == 0
    shown = capsys.readouterr()
    assert "planted-secret" not in shown.out + shown.err
    assert tomllib.loads(shown.out)["camera"][0]["source"] == "rtsp://***@h/1"
    assert shown.err.count("use credentials_file") == 2


def test_check_config_ends_with_78_for_a_wrong_one_and_66_for_a_missing_model(tmp_path, capsys):
    for source in ("ftp://host/clip.mp4", "rtsp://[bad"):
        camera = f"[[camera]]\nname = 'a'\nsource = '{source}'\n"
        assert main(["check-config", "--config", str(write(tmp_path, camera))]) == 78
    assert main(["check-config", "--config", str(write(tmp_path, "[mqtt]\nport = 0\n"))]) == 78
    model = '[classifier]\nmodel = "no.tflite"\n[[camera]]\nsource = "0"\n'
    assert main(["check-config", "--config", str(write(tmp_path, model))]) == 66
    assert "classifier.model: there is no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "keep", "words"), [("classifier", 5000, "cut short"), ("detector", None, "a detector is wanted")]
)
def test_check_config_ends_with_65_for_a_model_that_the_agent_would_refuse(tmp_path, capsys, kind, keep, words):
    (tmp_path / "m.tflite").write_bytes(SHIPPED.read_bytes()[:keep])
    text = f'[{kind}]\nmodel = "m.tflite"\n[[camera]]\nsource = "0"\n'
    assert main(["check-config", str(write(tmp_path, text))]) == 65
    assert words in capsys.readouterr().err


def test_check_config_with_quiet_says_no_word_where_all_is_well(tmp_path, capfd):
    camera = f'[[camera]]\nsource = "{SAMPLE}"\n[mqtt]\nhost = "broker"\n'
    assert main(["check-config", "--quiet", str(write(tmp_path, camera))]) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("kind", "shipped"), [("classifier", SHIPPED), ("detector", SHIPPED_DETECTOR)])
def test_check_config_says_in_one_line_what_run_would_that_a_model_answers_differently_here(tmp_path, kind, shipped):
    sound = load_model(shipped)
    other = tuple(np.ascontiguousarray(expected[::-1]) for expected in sound.golden.expected)
    golden = Golden(sound.golden.small, other, sound.golden.labels, sound.golden.step)
    (tmp_path / "m.tflite").write_bytes(pack(sound.flatbuffer, sound.manifest, golden))
    path = write(tmp_path, f'[{kind}]\nmodel = "m.tflite"\n[[camera]]\nsource = "{SAMPLE}"\n[http]\nenabled = false\n')
    checked, ran = (
        subprocess.run([sys.executable, "-m", "edge_agent", *command, "--quiet"], capture_output=True, text=True)
        for command in (
            ["check-config", str(path)],
            ["run", "--config", str(path), "--state-dir", str(tmp_path / "state")],
        )
    )
    assert (checked.returncode, checked.stdout) == (65, "")
    assert f"{tmp_path / 'm.tflite'} does not do on litert" in checked.stderr
    assert len(checked.stderr.splitlines()) == 1
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (65, checked.stderr.strip())


@pytest.mark.parametrize(
    ("lines", "status", "words"),
    [
        ('kind = "yunet"', 78, "detector.model is not set"),
        ('kind = "yunet"\nmodel = "m.tflite"', 65, "is no YuNet model"),
        ('kind = "haar"\nscore = 0.7', 78, "detector.kind 'haar' has none"),
    ],
)
def test_check_config_looks_into_other_detectors(tmp_path, capsys, lines, status, words):
    (tmp_path / "m.tflite").write_bytes(SHIPPED.read_bytes())
    assert main(["check-config", str(write(tmp_path, f"[detector]\n{lines}\n[[camera]]\nsource = 0\n"))]) == status
    assert words in capsys.readouterr().err


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
names = st.sampled_from(
    ["mqtt", "camera", "http", "host", "port", "tls", "zones", "name", "source", "enabled", "polygon", "stats", "0"]
) | st.text(max_size=8)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)


def outcome(path: Path | None = None, env: dict[str, str] | None = None, data: object = None) -> Config | str:
    try:
        return load(path, env or {}, data)
    except MaskwatchError as error:
        return str(error)


def is_a_configuration_or_one_line(found: Config | str) -> bool:
    return isinstance(found, Config) or (bool(found) and "\n" not in found)


@given(st.dictionaries(names, trees, max_size=5))
@example({"²": None})  # a digit to Python, no number
@settings(max_examples=150, deadline=None)
def test_any_tree_of_values_is_a_configuration_or_one_line(data):
    assert is_a_configuration_or_one_line(outcome(data=data))


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_a_configuration_or_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("config") / "agent.toml"
    path.write_bytes(data)
    assert is_a_configuration_or_one_line(outcome(path))


@given(st.dictionaries(st.text(min_size=1, max_size=30).map(lambda name: "MASKWATCH_" + name), st.text(max_size=20)))
@settings(max_examples=60, deadline=None)
def test_any_environment_is_a_configuration_or_one_line(env):
    assert is_a_configuration_or_one_line(outcome(env=env))
