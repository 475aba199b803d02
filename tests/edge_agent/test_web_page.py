"""The page's files: small, whole, from nowhere else. What they do is tested in a browser (tests/e2e/test_page.py)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.config import HttpConfig
from edge_agent.errors import UnavailableError
from edge_agent.web import WebServer, WebState
from web_support import running

STATIC = Path(__file__).parents[2] / "edge_agent" / "web" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))


def test_the_whole_page_is_under_150_kb():
    assert sum(file.stat().st_size for file in STATIC.iterdir()) < 150_000


def test_nothing_comes_from_another_host():
    for file in STATIC.iterdir():
        addresses = set(re.findall(r"https?://[^\s\"'<>)]+", file.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, file.name


def test_no_markup_holds_a_script_or_a_style_that_the_policy_would_refuse():
    for file in STATIC.glob("*.html"):
        text = file.read_text()
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", text), file.name


def test_no_script_reads_text_as_markup():
    for file in SCRIPTS:
        found = re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", file.read_text())
        assert not found, file.name


def test_every_element_that_a_script_asks_for_is_there():
    ids = set(re.findall(r'\sid="([\w-]+)"', (STATIC / "index.html").read_text()))
    for file in SCRIPTS:
        asked = set(re.findall(r'(?:\$|\btext)\("([\w-]+)"', file.read_text()))
        assert asked <= ids, file.name


def test_every_module_and_file_that_is_named_is_shipped():
    text = "".join(file.read_text() for file in STATIC.iterdir())
    named = set(re.findall(r'(?:from "\./|"/static/)([\w.-]+)"', text))
    assert named <= {file.name for file in STATIC.iterdir()}


def test_files_are_compressed_and_not_sent_twice():
    with running() as on:
        first = on.client.get("/static/style.css")
        again = on.client.get("/static/style.css", headers={"if-none-match": first.headers["etag"]})
        plain = on.client.get("/static/style.css", headers={"accept-encoding": "identity"})
    assert first.headers["content-encoding"] == "gzip"
    assert (again.status_code, again.content) == (304, b"")
    assert plain.content == (STATIC / "style.css").read_bytes()


@pytest.mark.parametrize(
    "name",
    ["..%2fserver.py", "server.py", "%2e%2e", "nothing.js", "a%5cb.js", pytest.param("x" * 5000 + ".js", id="long")],
)
def test_nothing_but_the_pages_files_is_served(name):
    with running() as on:
        assert on.client.get(f"/static/{name}").status_code == 404


def test_a_port_in_use_is_said_before_anything_starts():
    first = WebServer(HttpConfig(port=0), WebState(()))
    port = first.bind()
    with pytest.raises(UnavailableError, match=f"{port}.*in use; give another http.port") as caught:
        WebServer(HttpConfig(port=port), WebState(())).bind()
    assert caught.value.exit_status == 69
    first.stop()


def test_the_agent_does_not_wait_for_the_web_framework():
    code = "import sys, edge_agent.web; print([m for m in ('starlette', 'uvicorn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_server_that_was_never_asked_anything_stops_at_once():
    server = WebServer(HttpConfig(port=0), WebState(()))
    server.bind()
    server.start()
    server.stop()
    assert server._thread is not None
    server._thread.join(5)
    assert not server._thread.is_alive()
