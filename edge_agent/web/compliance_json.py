"""Visits by verdict, with compliance as docs/people.md defines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_agent.compliance import CORRECT_LABEL, wilson
from edge_agent.records import CANNOT_TELL


def compliance_json(visits: Mapping[str, int], labels: Sequence[str]) -> dict[str, Any]:
    """Correctly masked over judged visits, with its Wilson 95 % interval; null where nobody was judged."""
    by_label = {label: visits.get(label, 0) for label in labels}
    judged, masked = sum(by_label.values()), by_label.get(CORRECT_LABEL, 0)
    share = round(masked / judged, 4) if judged else None
    interval = wilson(masked, judged)
    return {
        "visits": by_label,
        "cannot_tell": visits.get(CANNOT_TELL, 0),
        "judged": judged,
        "compliance": share,
        "interval_95": [round(end, 4) for end in interval] if interval else None,
    }
