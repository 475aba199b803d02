"""A device's whole life under a real systemd: installed, reloaded, killed, hung, upgraded, misconfigured, removed.

systemd runs as PID 1 of namespaces of its own on a copy-on-write view of this machine: what install.sh writes to /opt,
/etc and /var stays in there. The unit is the one that ships, with its hardening, its credentials and its own account.
`make soak` runs it as root, or MASKWATCH_BOOT=1 does: two installs and seven starts of the agent.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from broker_support import Broker, Subscriber, free_port, until
from page_support import Camera, sample_frames

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "deploy" / "install.sh"
PYTHON = "/usr/bin/python3"
PASSWORD = "planted-secret-4c7"
CONFIG = """
[device]
name = "door"
[[camera]]
name = "hall"
source = "{camera}"
[mqtt]
host = "127.0.0.1"
port = {mqtt}
username = "door"
password_file = "mqtt-password"
reconnect_max_s = 1
[http]
port = {http}
"""


def why_not() -> str:
    """Why no systemd can be booted here; empty where it can."""
    if os.environ.get("MASKWATCH_BOOT") != "1":
        return "boots a systemd and installs twice; MASKWATCH_BOOT=1 or make soak does it"
    if os.getuid() != 0:
        return "namespaces with a systemd of their own need root"
    missing = [name for name in ("systemctl", "unshare", "nsenter", "pivot_root") if shutil.which(name) is None]
    if missing or not Path("/lib/systemd/systemd").exists():
        return f"missing: {', '.join(missing) or 'systemd'}"
    if cgroups() is None:
        return "no cgroup2 is mounted here"
    fit = subprocess.run([PYTHON, "-c", "import sys, pip, venv; sys.exit(sys.version_info < (3, 11))"])
    return "" if fit.returncode == 0 else f"{PYTHON} is older than 3.11 or has no pip or venv"


def cgroups() -> Path | None:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return next((Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)


class Device:
    """A booted one. `run` runs a command in it."""

    def __init__(self, folder: Path) -> None:
        where = cgroups()
        assert where is not None
        self._cgroup = where / f"maskwatch-test-{os.getpid()}"
        self._cgroup.mkdir()
        boot = Path(__file__).with_name("boot_device.sh")
        enter = f"echo $$ > {self._cgroup}/cgroup.procs; exec unshare -m -p -f -C -i -u --kill-child {boot} {folder}"
        self._unshare = subprocess.Popen(["sh", "-c", enter], stderr=subprocess.PIPE, text=True)

    def booted(self) -> bool:
        done = self.run("systemctl", "is-system-running")
        return done.stdout.strip() in ("running", "degraded")

    def run(self, *command: object, text: str | None = None) -> subprocess.CompletedProcess[str]:
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
        if not children:
            return subprocess.CompletedProcess([], 1, "", "not yet")
        enter = ["nsenter", "-t", children[0], "-m", "-p", "-C", "-i", "-u"]
        return subprocess.run(
            [*enter, *map(str, command)], input=text, capture_output=True, text=True, timeout=900, cwd="/"
        )

    def write(self, path: str, text: str, mode: str = "0644") -> None:
        done = self.run("sh", "-c", f"umask 077; cat > {path}; chmod {mode} {path}", text=text)
        assert done.returncode == 0, done.stderr

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout

    def service(self, name: str) -> str:
        return self.run("systemctl", "show", "edge-agent", "-p", name, "--value").stdout.strip()

    def install(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        options = [] if arguments[0] in ("rollback", "uninstall") else ["--pip-options", "--no-compile"]  # faster here
        return self.run(INSTALL, *arguments, *options)

    def off(self) -> None:
        self._unshare.kill()  # and with it PID 1, and with that all the rest
        self._unshare.wait(60)
        until(self._gone)

    def _gone(self) -> bool:
        """Its cgroups can be removed once its last process has ended."""
        for path in [*sorted(self._cgroup.rglob("*"), reverse=True), self._cgroup]:
            if path.is_dir():
                with suppress(OSError):
                    path.rmdir()
        return not self._cgroup.exists()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    folder = tmp_path / "device"
    folder.mkdir()
    device = Device(folder)
    try:
        if not until(lambda: device._unshare.poll() is not None or device.booted(), 60) or not device.booted():
            pytest.skip("systemd does not boot in namespaces of its own here")
        assert device.run("systemctl", "start", "systemd-journald").returncode == 0
        yield device
    finally:
        device.off()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", passwords, "door", PASSWORD], check=True, capture_output=True)
    broker = Broker(tmp_path, f"allow_anonymous false\npassword_file {passwords}").start()
    yield broker
    broker.stop()


@pytest.fixture
def camera() -> Iterator[Camera]:
    camera = Camera(sample_frames())
    camera.plug()
    yield camera
    camera.unplug()


def is_counting(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        return json.loads(answer.read())["status"] == "ok"
    return False


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_device_lives_from_its_first_install_to_its_removal(device, broker, camera):
    subscriber = Subscriber(broker.port, topics=("maskwatch/#",), account=("door", PASSWORD)).start()
    info = lambda: json.loads(subscriber.last("maskwatch/door/info") or b"{}")  # noqa: E731
    main_pid = lambda: device.service("MainPID")  # noqa: E731

    # installed: it starts at once, and says what is missing
    first = device.install("--python", PYTHON)
    assert first.returncode == 0, first.stderr
    assert until(lambda: device.service("ActiveState") == "active", 120), device.service("StatusText")
    assert until(lambda: "camera camera is offline" in device.service("StatusText"), 60)
    assert device.run("stat", "-c", "%U %a", "/var/lib/maskwatch").stdout == "maskwatch 750\n"

    # configured, with a password that root alone can read
    http = free_port()
    config = CONFIG.format(camera=camera.url, mqtt=broker.port, http=http)
    device.write("/etc/maskwatch/agent.toml", config)
    device.write("/etc/maskwatch/credentials/mqtt-password", PASSWORD + "\n", "0600")
    device.run("systemctl", "restart", "edge-agent")
    assert until(lambda: is_counting(http), 120), device.run("journalctl", "-u", "edge-agent", "-n", "20").stdout
    assert until(lambda: subscriber.last("maskwatch/door/available") == b"online")
    assert until(lambda: subscriber.payloads("maskwatch/door/events/hall"), 120)
    assert device.run("stat", "-c", "%U", f"/proc/{main_pid()}").stdout == "maskwatch\n"
    assert until(lambda: device.service("StatusText") == "ok: hall online")

    # a wrong configuration is refused by a reload, on every channel; the right one ends that
    device.write("/etc/maskwatch/agent.toml", config + "[mqtx]\n")
    device.run("systemctl", "reload", "edge-agent")
    assert until(lambda: "reload refused" in device.service("StatusText"))
    assert until(lambda: "did you mean mqtt?" in (info().get("reload_error") or ""))
    device.write("/etc/maskwatch/agent.toml", config + "[stats]\ninterval_s = 2\n")
    device.run("systemctl", "reload", "edge-agent")
    assert until(lambda: info().get("reload_error", "") is None)
    assert until(lambda: device.service("StatusText") == "ok: hall online")
    assert device.service("NRestarts") == "0"

    # killed, and hung: started again, by Restart= and by the watchdog
    device.run("mkdir", "-p", "/etc/systemd/system/edge-agent.service.d")
    device.write("/etc/systemd/system/edge-agent.service.d/test.conf", "[Service]\nRestartSec=1\nWatchdogSec=10\n")
    device.run("systemctl", "daemon-reload")
    device.run("systemctl", "restart", "edge-agent")
    for number, restarts in (("KILL", "1"), ("STOP", "2")):
        assert until(lambda: is_counting(http), 120)
        device.run("systemctl", "kill", "--kill-who=main", "-s", number, "edge-agent")
        assert until(lambda restarts=restarts: device.service("NRestarts") == restarts, 60), number
    assert until(lambda: is_counting(http), 120)
    assert b"offline" in subscriber.payloads("maskwatch/door/available"), "the will"

    # upgraded, and back: configuration, secret and state are those of before
    state_id = device.read("/var/lib/maskwatch/installation-id")
    before = device.run("readlink", "/opt/maskwatch/current").stdout
    second = device.install("--python", PYTHON)
    assert second.returncode == 0, second.stderr
    assert device.run("readlink", "/opt/maskwatch/current").stdout != before
    assert until(lambda: is_counting(http), 120)
    assert device.install("rollback").returncode == 0
    assert device.run("readlink", "/opt/maskwatch/current").stdout == before
    assert until(lambda: is_counting(http), 120)
    assert device.read("/etc/maskwatch/agent.toml").startswith(config)
    assert device.read("/var/lib/maskwatch/installation-id") == state_id != ""

    # a wrong configuration at the start ends it for good, with 78
    device.write("/etc/maskwatch/agent.toml", "[mqtx]\n")
    device.run("systemctl", "restart", "edge-agent")
    assert until(lambda: device.service("ActiveState") == "failed", 60)
    assert device.service("ExecMainStatus") == "78"

    journal = device.run("journalctl", "-u", "edge-agent", "--no-pager").stdout
    assert "mqtt: connected to" in journal
    assert PASSWORD not in journal

    # removed: first what was installed, then what was kept
    assert device.install("uninstall").returncode == 0
    assert device.run("systemctl", "cat", "edge-agent").returncode != 0
    assert device.run("test", "-e", "/opt/maskwatch").returncode == 1
    assert device.read("/etc/maskwatch/credentials/mqtt-password") == PASSWORD + "\n"
    assert device.install("uninstall", "--purge").returncode == 0
    for path in ("/etc/maskwatch", "/var/lib/maskwatch"):
        assert device.run("test", "-e", path).returncode == 1
    assert device.run("id", "maskwatch").returncode != 0
    subscriber.stop()
