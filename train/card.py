"""The model card's tables, kept between markers so that one command writes them anew and prose stays as it is."""

from __future__ import annotations

from pathlib import Path

from edge_agent.errors import ConfigError, NotFoundError
from train.files import write_atomically


def check(path: Path, split: str) -> None:
    """Raise where `fill` would: before anything dear is computed."""
    _parts(path, split)


def fill(path: Path, split: str, text: str) -> None:
    """Replace what stands between `<!-- split: begin -->` and `<!-- split: end -->`."""
    before, after = _parts(path, split)
    with write_atomically(path) as out:
        out.write(f"{before}\n{text}\n{after}".encode())


def _parts(path: Path, split: str) -> tuple[str, str]:
    """What stands up to the first marker, and from the second on."""
    if not path.is_file():
        raise NotFoundError(f"no model card {path}; name an existing file with the markers of {split}")
    begin, end = f"<!-- {split}: begin -->", f"<!-- {split}: end -->"
    content = path.read_text()
    if content.count(begin) != 1 or content.count(end) != 1 or content.index(begin) > content.index(end):
        raise ConfigError(f"{path} lacks the markers {begin} and {end}; put each in once, in this order")
    before, rest = content.split(begin)
    return before + begin, end + rest.split(end)[1]
