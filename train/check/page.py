"""The findings as one HTML page with pictures, and as a CSV file."""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_agent.preprocess import crop
from train.check.findings import KINDS, Finding
from train.files import write_atomically

SHOWN = 40  # pictures of a kind on the page; the CSV file has all
STYLE = (
    "body{font:15px/1.4 system-ui;margin:2em auto;max-width:75em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:.2em .6em;text-align:right}td:nth-child(-n+3){text-align:left}"
    "figure{display:inline-block;margin:.4em;width:15em;vertical-align:top}figcaption{font-size:12px;"
    "overflow-wrap:anywhere}img{height:96px}"
)


def write_csv(path: Path, findings: Sequence[Finding]) -> None:
    """One finding a line; the column `id` is what a configuration's `exclude` reads."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["kind", "set", "split", "id", "other", "detail"])
    for f in findings:
        rows.writerow([f.kind, f.set, f.split, f.ids[0], f.ids[1] if len(f.ids) > 1 else "", f.detail])
    with write_atomically(path) as out:
        out.write(text.getvalue().encode())


def _thumbnail(path: Path, finding: Finding) -> str:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        return "<em>no picture</em>"
    bgr = np.asarray(image, np.uint8)
    if finding.box is not None and min(finding.box.w, finding.box.h) > 0:
        small = cv2.cvtColor(crop(bgr, finding.box, 96, 0.3), cv2.COLOR_RGB2BGR)
    else:
        small = np.asarray(cv2.resize(bgr, (max(1, bgr.shape[1] * 96 // bgr.shape[0]), 96)), np.uint8)
    coded = base64.b64encode(cv2.imencode(".jpg", small)[1].tobytes()).decode()
    return f'<img alt="{html.escape(path.name)}" src="data:image/jpeg;base64,{coded}">'


def write_page(path: Path, findings: Sequence[Finding], rows: Sequence[Sequence[object]], pictures: int) -> None:
    """One file without links to others: it can be mailed."""
    parts = [f"<!doctype html><meta charset=utf-8><title>Data check</title><style>{STYLE}</style><h1>Data check</h1>"]
    parts.append(f"<p>{pictures} pictures, {sum(int(str(r[3])) for r in rows)} faces, {len(findings)} findings.</p>")
    head = ("set", "split", "class", "faces", "under 16 px", "16 to 32", "32 to 64", "over 64")
    parts.append("<table><tr>" + "".join(f"<th>{h}</th>" for h in head) + "</tr>")
    parts += ["<tr>" + "".join(f"<td>{html.escape(str(v))}</td>" for v in row) + "</tr>" for row in rows]
    parts.append("</table>")
    for kind, title in KINDS.items():
        mine = [f for f in findings if f.kind == kind]
        parts.append(f"<h2>{html.escape(title.capitalize())}: {len(mine)}</h2>")
        for f in mine[:SHOWN]:
            images = "".join(_thumbnail(p, f) for p in f.paths)
            caption = html.escape(f"{', '.join(f.ids)}: {f.detail}")
            parts.append(f"<figure>{images}<figcaption>{caption}</figcaption></figure>")
        if len(mine) > SHOWN:
            parts.append(f"<p>and {len(mine) - SHOWN} more in the CSV file</p>")
    with write_atomically(path) as out:
        out.write("\n".join(parts).encode())
