"""A PostgreSQL server of our own, with what apt installs: started in a fresh folder on a free port."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def binaries() -> Path | None:
    """The newest installed PostgreSQL's folder of server binaries; Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).resolve().parent if there else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Postgres:
    port: int
    password: str

    def url(self, database: str, driver: str = "postgresql+psycopg") -> str:
        return f"{driver}://owner:{self.password}@127.0.0.1:{self.port}/{database}"


@contextmanager
def running(*databases: str) -> Iterator[Postgres]:
    """A server that asks for passwords, with these databases."""
    place = binaries()
    assert place is not None
    folder = Path(tempfile.mkdtemp(prefix="maskwatch-pg-"))
    server = Postgres(free_port(), secrets.token_urlsafe(12))
    key = folder / "password"
    key.write_text(server.password)
    as_owner: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        owner = pwd.getpwnam("postgres")
        for path in (folder, key):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        as_owner = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]

    def do(*words: str, **more: object) -> None:
        subprocess.run([*as_owner, *words], check=True, capture_output=True, cwd=folder, timeout=180, **more)  # type: ignore[call-overload]

    data = str(folder / "data")
    try:
        do(str(place / "initdb"), "-D", data, "-U", "owner", f"--pwfile={key}", "--auth=scram-sha-256", "--no-sync")
        options = f"-p {server.port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        do(str(place / "pg_ctl"), "-D", data, "-w", "-t", "120", "-l", str(folder / "log"), "-o", options, "start")
        try:
            for name in databases:
                env = {**os.environ, "PGPASSWORD": server.password}
                where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "owner"]
                do(str(place / "createdb"), *where, name, env=env)
            yield server
        finally:
            do(str(place / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
