"""The faces on which runs differ, as a page with crops. It holds photographs: it stays where the data is."""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Sequence
from pathlib import Path

import cv2

from train.files import write_atomically
from train.runs.comparison import Disagreement

CROP_PX = 96
MOST = 400
STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left}"
    ".right{background:#dfd}.wrong{background:#fdd}"
)


def write(folder: Path, text: str, titles: Sequence[str], differ: Sequence[Disagreement], dataset: Path | None) -> Path:
    """compare.md, differences.csv, and differences.html, with crops where a dataset file is given."""
    crops = _crops(dataset, [item.id for item in differ[:MOST]]) if dataset else {}
    rows = io.StringIO()
    sheet = csv.writer(rows)
    sheet.writerow(["id", "truth", *(f"{title} {what}" for title in titles for what in ("label", "probability"))])
    for item in differ:
        sheet.writerow([item.id, item.truth, *(cell for label, p in item.called for cell in (label, f"{p:.4f}"))])
    _text(folder / "compare.md", text + "\n")
    _text(folder / "differences.csv", rows.getvalue())
    _text(folder / "differences.html", _page(titles, differ[:MOST], crops))
    return folder


def _text(path: Path, text: str) -> None:
    with write_atomically(path) as out:
        out.write(text.encode())


def _page(titles: Sequence[str], differ: Sequence[Disagreement], crops: dict[str, str]) -> str:
    head = "".join(f"<th>{html.escape(title)}</th>" for title in ("face", "is", *titles))
    body = []
    for item in differ:
        shown = f'<img alt="" src="data:image/jpeg;base64,{crops[item.id]}"><br>' if item.id in crops else ""
        cells = "".join(
            f'<td class="{"right" if right else "wrong"}">{html.escape(label)} {p:.2f}</td>'
            for (label, p), right in zip(item.called, item.right, strict=True)
        )
        body.append(f"<tr><td>{shown}{html.escape(item.id)}</td><td>{html.escape(item.truth)}</td>{cells}</tr>")
    table = f"<table><tr>{head}</tr>{''.join(body)}</table>"
    head = f'<meta charset="utf-8"><title>Where runs differ</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}{table}</html>'


def _crops(dataset: Path, ids: Sequence[str]) -> dict[str, str]:
    """JPEG crops in base64, by the face's id."""
    from train.crops import exact_crops
    from train.data import load

    wanted = set(ids)
    samples = sorted((s for s in load(dataset).samples if s.id in wanted), key=lambda s: str(s.image_path))
    pictures = exact_crops(samples, CROP_PX, 0.3) if samples else []
    out = {}
    for sample, rgb in zip(samples, pictures, strict=True):
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        out[sample.id] = base64.b64encode(jpeg.tobytes()).decode()
    return out
