"""TLS to a real mosquitto with the certificates, accounts and ACL that deploy/ makes; also expired and foreign ones."""

import datetime
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from broker_support import Broker, Subscriber, until, visit
from edge_agent.config import Config, load
from edge_agent.errors import ConfigError
from edge_agent.health import Health
from edge_agent.messages import Info
from edge_agent.mqtt_client import tls_context
from edge_agent.report import Reporter

DEPLOY = Path(__file__).parents[2] / "deploy" / "broker"
INFO = Info(version="1", labels=("with_mask",))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA and certificates for 127.0.0.1, by the script that users run."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run([DEPLOY / "make-certificates.sh", folder, "127.0.0.1"], check=True, capture_output=True)
    return folder


def secured(folder: Path, certificates: Path, server: str = "server.crt", more: str = "") -> Broker:
    return Broker(
        folder,
        f"cafile {certificates}/ca.crt\ncertfile {certificates}/{server}\nkeyfile {certificates}/server.key\n"
        + (more or "allow_anonymous true"),
    )


def configured(port: int, ca: Path, **mqtt: object) -> Config:
    settings = {"host": "127.0.0.1", "port": port, "reconnect_max_s": 1, "tls": {"enabled": True, "ca_file": str(ca)}}
    return load(None, {}, {"device": {"name": "door"}, "camera": [{"source": "0"}], "mqtt": {**settings, **mqtt}})


def connected(config: Config, state_dir: Path) -> tuple[Reporter, Health]:
    health = Health()
    reporter = Reporter(config, state_dir, INFO, health=health)
    reporter.start()
    assert until(lambda: reporter._outlet.is_up or health.report().reasons)
    return reporter, health


def test_the_broker_is_trusted_by_its_ca_and_events_arrive(tmp_path, certificates):
    broker = secured(tmp_path, certificates).start()
    reporter, _ = connected(configured(broker.port, certificates / "ca.crt"), tmp_path / "state")
    reporter.event(visit(1))
    assert until(lambda: reporter._spool.state().events == 0)
    reporter.close()
    broker.stop()


def test_a_broker_of_a_foreign_ca_or_of_another_name_is_refused(tmp_path, certificates):
    foreign = tmp_path / "foreign"
    subprocess.run([DEPLOY / "make-certificates.sh", foreign, "127.0.0.1"], check=True, capture_output=True)
    broker = secured(tmp_path, certificates).start()
    for config in (
        configured(broker.port, foreign / "ca.crt"),
        configured(broker.port, certificates / "ca.crt", host="localhost"),
    ):
        reporter, health = connected(config, tmp_path / f"state-{config.mqtt.host}")
        assert not reporter._outlet.is_up
        assert "certificate is not accepted" in health.report().reasons[0]
        reporter.close()
    broker.stop()


def expired(certificates: Path) -> str:
    """The broker's certificate again, with its time over since yesterday."""
    ca_key = serialization.load_pem_private_key((certificates / "ca.key").read_bytes(), None)
    ca = x509.load_pem_x509_certificate((certificates / "ca.crt").read_bytes())
    good = x509.load_pem_x509_certificate((certificates / "server.crt").read_bytes())
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=ca.subject,
        subject_name=good.subject,
        public_key=good.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(days=30),
        not_valid_after=now - datetime.timedelta(days=1),
        extensions=list(good.extensions),
    )
    made = builder.sign(ca_key, hashes.SHA256())
    (certificates / "expired.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return "expired.crt"


def test_an_expired_certificate_is_named_and_its_renewal_connects(tmp_path, certificates):
    broker = secured(tmp_path, certificates, expired(certificates)).start()
    reporter, health = connected(configured(broker.port, certificates / "ca.crt"), tmp_path / "state")
    reporter.event(visit(1))
    assert "expired" in health.report().reasons[0]
    broker.stop()
    folder = tmp_path / "again"
    folder.mkdir()
    settings = secured(folder, certificates)._settings
    renewed = Broker(folder, settings, broker.port).start()
    assert until(lambda: reporter._outlet.is_up and reporter._spool.state().events == 0)
    reporter.close()
    renewed.stop()


def test_a_port_without_tls_is_named(tmp_path, certificates):
    broker = Broker(tmp_path).start()
    reporter, health = connected(configured(broker.port, certificates / "ca.crt"), tmp_path / "state")
    assert not reporter._outlet.is_up
    assert health.report().reasons
    reporter.close()
    broker.stop()


def test_files_that_are_no_certificates_are_refused_in_one_line(tmp_path, certificates):
    (tmp_path / "no.crt").write_text("nothing")
    with pytest.raises(ConfigError, match=r"mqtt\.tls\.ca_file: cannot use"):
        tls_context(configured(1, tmp_path / "no.crt").mqtt)
    pair = {"cert_file": str(certificates / "ca.crt"), "key_file": str(certificates / "server.key")}
    tls = {"enabled": True, "ca_file": str(certificates / "ca.crt"), **pair}
    with pytest.raises(ConfigError, match="belong together"):
        tls_context(configured(1, certificates / "ca.crt", tls=tls).mqtt)


def test_the_acl_lets_a_device_do_its_work_and_nothing_else(tmp_path, certificates):
    passwords, acl = tmp_path / "passwords", tmp_path / "acl"
    acl.write_text((DEPLOY / "maskwatch.acl").read_text())
    for number, user in enumerate(("door", "dashboard", "other")):
        create = ["-c"] if number == 0 else []
        subprocess.run(["mosquitto_passwd", *create, "-b", passwords, user, "secret"], check=True, capture_output=True)
    acl.chmod(0o600)
    (tmp_path / "pw").write_text("secret")
    # without TLS here, so that the subscriber stays simple; the rules are those that ship
    broker = Broker(tmp_path, f"allow_anonymous false\npassword_file {passwords}\nacl_file {acl}").start()
    account = {"username": "door", "password_file": str(tmp_path / "pw"), "tls": {}}
    config = configured(broker.port, certificates / "ca.crt", **account)
    dashboard = Subscriber(
        broker.port, topics=("maskwatch/#", "homeassistant/#"), account=("dashboard", "secret")
    ).start()
    reporter, _ = connected(config, tmp_path / "state")
    reporter.camera_status("camera", "online")
    reporter.event(visit(1, camera="camera"))
    assert until(lambda: dashboard.last("maskwatch/door/events/camera"))
    assert until(lambda: dashboard.last("homeassistant/device/maskwatch-door/config"))
    for answers in ("maskwatch/door/cmd/result/dashboard", "maskwatch/door/cmd/result"):
        dashboard.send("maskwatch/door/cmd", '{"action": "pause"}', ResponseTopic=answers)
        orders = []
        assert until(lambda orders=orders: orders or orders.extend(filter(None, [reporter.next_order()])))
        reporter.answer(orders[0], True, "paused")
        assert until(lambda answers=answers: dashboard.last(answers))
    other = Subscriber(broker.port, topics=("maskwatch/#",), name="other", account=("other", "secret")).start()
    other.client.publish("maskwatch/door/available", "offline", 1, retain=True)
    other.client.publish("maskwatch/door/cmd", '{"action": "pause"}', 1)
    assert not until(lambda: reporter.next_order(), 1.5)
    assert dashboard.last("maskwatch/door/available") == b"online"
    assert [heard for heard in other.heard if heard.topic.startswith("maskwatch/door")] == []
    for client in (other, dashboard):
        client.stop()
    reporter.close()
    broker.stop()
