"""Which retained topics and Home Assistant entities this device has ever published, so that old ones can be removed.

A camera that leaves the configuration, or a device that is renamed, would otherwise stay on the broker as a ghost. A
topic is remembered until the broker has removed it, which may be many starts later.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.identity import write_atomically

FILE_NAME = "published.json"
MOST_ENTRIES = 2000
LARGEST_BYTES = 1_000_000


@dataclass(slots=True)
class Published:
    """topics: retained ones. components: Home Assistant's, key to platform, those removed included."""

    topics: set[str] = field(default_factory=set)
    components: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def load(state_dir: Path) -> Published:
        """What the file says; nothing where it is absent or broken: it only helps to clean up."""
        try:
            raw = (state_dir / FILE_NAME).read_bytes()
            data = json.loads(raw) if len(raw) <= LARGEST_BYTES else {}
        except (OSError, ValueError, RecursionError):
            return Published()
        if not isinstance(data, dict):
            return Published()
        return Published(set(_texts(data.get("topics"))), _text_map(data.get("components")))

    def save(self, state_dir: Path) -> None:
        data = {"topics": sorted(self.topics)[:MOST_ENTRIES], "components": dict(sorted(self.components.items()))}
        write_atomically(state_dir / FILE_NAME, json.dumps(data).encode())

    def replace(self, topics: set[str], components: dict[str, str], state_dir: Path) -> tuple[set[str], dict[str, str]]:
        """Remember what is published now; the topics to clear and the components that are gone."""
        stale = {topic for topic in self.topics - topics if is_ours(topic)}
        gone = {key: platform for key, platform in self.components.items() if key not in components}
        merged = {**gone, **components}
        if topics | stale != self.topics or merged != self.components:
            self.topics, self.components = topics | stale, dict(list(merged.items())[-MOST_ENTRIES:])
            self.save(state_dir)
        return stale, gone

    def cleared(self, topic: str, state_dir: Path) -> None:
        """The broker has removed it."""
        self.topics.discard(topic)
        self.save(state_dir)


def is_ours(topic: str) -> bool:
    """A topic that this agent may have written, and that may be published to."""
    fit = 0 < len(topic) < 512 and not any(letter in topic for letter in "+#\0")
    return fit and (topic.startswith("maskwatch/") or "/device/maskwatch-" in topic)


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _text_map(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)}
