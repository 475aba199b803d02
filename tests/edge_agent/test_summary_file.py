"""The summary of a run: whole files, and devices, pipes and links that stay what they are."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.errors import NotFoundError, UnavailableError
from edge_agent.summary_file import check_place, write_summary

FIGURES = {"people": {"with_mask": 1}}
PROGRAM = "from pathlib import Path; from edge_agent.summary_file import write_summary as w\n"


def test_the_file_that_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to("there/summary.json")
    for _ in range(2):  # first it leads nowhere yet
        check_place(link)
        write_summary(link, FIGURES)
        assert link.is_symlink()
        assert json.loads((tmp_path / "there/summary.json").read_text()) == FIGURES
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["summary.json"]


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE) as reader:
        check_place(tmp_path / "pipe")
        write_summary(tmp_path / "pipe", FIGURES)
        assert json.loads(reader.communicate(timeout=30)[0]) == FIGURES
    assert (tmp_path / "pipe").is_fifo()


def test_a_device_is_written_to_and_stays_a_device(tmp_path: Path) -> None:
    node = tmp_path / "null"
    try:
        os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        node.write_text("")
    except PermissionError:
        pytest.skip("device nodes cannot be made here")
    write_summary(node, FIGURES)
    assert node.is_char_device()


@pytest.mark.parametrize("name", ["/proc/self/fd/1", "out.txt"])
def test_on_its_own_output_the_summary_comes_before_what_follows(tmp_path: Path, name: str) -> None:
    program = f"{PROGRAM}print('before'); w(Path({name!r}), {FIGURES}); print('after')"
    with (tmp_path / "out.txt").open("w") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True, timeout=60, cwd=tmp_path)
    first, *between, last = (tmp_path / "out.txt").read_text().splitlines()
    assert (first, last) == ("before", "after")
    assert json.loads("".join(between)) == FIGURES


def test_a_summary_into_a_pipeline_comes_out_of_it() -> None:
    program = f"{PROGRAM}w(Path('/proc/self/fd/1'), {FIGURES})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout) == FIGURES


def test_a_place_that_cannot_be_written_is_said_and_nothing_half_is_left(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no folder"):
        check_place(tmp_path / "no/summary.json")
    (tmp_path / "loop").symlink_to("loop")
    for place in (Path("/dev/full"), tmp_path / "loop"):
        with pytest.raises(UnavailableError, match="cannot write --summary"):
            write_summary(place, FIGURES)
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]
