"""`benchmarks.detectors`: wrong options end in one line before anything is measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import detectors


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--repeats", "0"], 2, "--repeats is 0; give a count of 1 or more"),
        (["--plot", "{folder}/plot.xyz"], 2, "plot.xyz; give a .png or .svg file"),
        (["--plot", "{folder}/file/plot.png"], 74, "cannot write"),
        (["--markdown", "{folder}/file/table.md"], 74, "cannot write"),
        (["--model", "gone.tflite"], 66, "gone.tflite"),
        (["--data", "{folder}"], 66, "splits.csv is not there"),
    ],
)
def test_a_wrong_option_ends_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    says: str,
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(sys, "argv", ["detectors", *(word.format(folder=tmp_path) for word in words)])
    assert detectors.main() == status
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


def test_ctrl_c_ends_it_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(detectors, "_entries", interrupted)
    monkeypatch.setattr(sys, "argv", ["detectors"])
    assert detectors.main() == 130
    assert capsys.readouterr().err == "detectors: stopped\n"
