"""Visits by verdict, with compliance as docs/people.md defines it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from edge_agent.records import CANNOT_TELL

WITH_MASK = "with_mask"
Z_95 = 1.959964


def compliance_json(visits: Mapping[str, int], labels: Sequence[str]) -> dict[str, Any]:
    """Correctly masked over judged visits, with its Wilson 95 % interval; null where nobody was judged."""
    by_label = {label: visits.get(label, 0) for label in labels}
    judged, masked = sum(by_label.values()), by_label.get(WITH_MASK, 0)
    share = round(masked / judged, 4) if judged else None
    return {
        "visits": by_label,
        "cannot_tell": visits.get(CANNOT_TELL, 0),
        "judged": judged,
        "compliance": share,
        "interval_95": wilson(masked, judged) if judged else None,
    }


def wilson(successes: int, trials: int) -> list[float]:
    """Wilson's score interval (1927), which behaves for small counts and shares near 0 and 1."""
    p, z2 = successes / trials, Z_95**2
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2))
    return [round(max(0.0, centre - half), 4), round(min(1.0, centre + half), 4)]
