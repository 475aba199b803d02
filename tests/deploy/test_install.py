"""install.sh on a folder of its own: install, upgrade, refuse, roll back, uninstall. The wheel is a small stand-in."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from broker_support import until

SCRIPT = Path(__file__).parents[2] / "deploy" / "install.sh"
STAND_IN = """
import sys
def main():
    if sys.argv[1] == "version":
        print("maskwatch {version}")
    elif sys.argv[1] == "check-config" and "refused by {version}" in open(sys.argv[-1]).read():
        sys.exit("edge-agent: refused")
"""


def wheel(folder: Path, version: str) -> Path:
    """A wheel with a console script that knows `version` and `check-config`."""
    path = folder / f"maskwatch-{version}-py3-none-any.whl"
    info = f"maskwatch-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("stand_in.py", STAND_IN.replace("{version}", version))
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: maskwatch\nVersion: {version}\nProvides-Extra: litert\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\nedge-agent = stand_in:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def script(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [SCRIPT, *map(str, arguments), "--root", root]
    if not arguments or arguments[0] == "install":
        command += ["--python", sys.executable, "--pip-options", "--no-index"]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def version(root: Path) -> str:
    return subprocess.run(
        [root / "opt/maskwatch/bin/edge-agent", "version"], capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_device_is_installed_upgraded_rolled_back_and_cleared(tmp_path):
    root = tmp_path / "device"
    first = script(root, "install", "--from", wheel(tmp_path, "1.0"))
    assert first.returncode == 0, first.stderr
    assert version(root) == "maskwatch 1.0"
    config, state = root / "etc/maskwatch/agent.toml", root / "var/lib/maskwatch"
    assert "[[camera]]" in config.read_text()
    assert os.stat(root / "etc/maskwatch/credentials").st_mode & 0o777 == 0o700
    assert (root / "etc/systemd/system/edge-agent.service").is_file()

    config.write_text("mine = 1\n")
    (state / "spool.db").write_text("events")
    second = script(root, "install", "--from", wheel(tmp_path, "2.0"))
    assert second.returncode == 0, second.stderr
    assert version(root) == "maskwatch 2.0"
    assert config.read_text() == "mine = 1\n"
    assert (state / "spool.db").read_text() == "events"

    config.write_text("refused by 3.0\n")
    third = script(root, "install", "--from", wheel(tmp_path, "3.0"))
    assert third.returncode == 1
    assert "nothing was changed" in third.stderr
    assert version(root) == "maskwatch 2.0"
    assert len(list((root / "opt/maskwatch/releases").iterdir())) == 2

    assert script(root, "rollback").returncode == 0
    assert version(root) == "maskwatch 1.0"

    assert script(root, "uninstall").returncode == 0
    assert not (root / "opt/maskwatch").exists()
    assert config.exists()
    assert (state / "spool.db").exists()
    assert script(root, "uninstall", "--purge").returncode == 0
    assert not config.exists()
    assert not state.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--nonsense"], 2, "--nonsense is unknown"),
        (["install", "--from", "/no/such.whl"], 1, "there is no /no/such.whl"),
        (["rollback"], 1, "there is no release before this one"),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(tmp_path, arguments, status, words):
    done = script(tmp_path / "device", *arguments)
    assert done.returncode == status
    assert words in done.stderr
    assert not (tmp_path / "device").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_install_that_is_interrupted_leaves_no_half_release(tmp_path, number):
    root = tmp_path / "device"
    command = [SCRIPT, "--from", wheel(tmp_path, "1.0"), "--root", root, "--python", sys.executable]

    def heed() -> None:
        """What a shell runs in the background ignores SIGINT, and what that starts does too: no trap undoes it."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        list(map(str, command)), stderr=subprocess.PIPE, start_new_session=True, preexec_fn=heed
    ) as running:
        assert until(lambda: list(root.glob("opt/maskwatch/releases/*/pyvenv.cfg")))
        os.killpg(running.pid, number)
        assert running.wait(60) != 0
    assert list(root.glob("opt/maskwatch/releases/*")) == []
    assert not (root / "opt/maskwatch/current").exists()


def test_uninstalling_what_is_not_there_is_no_error(tmp_path):
    assert script(tmp_path / "device", "uninstall").returncode == 0
