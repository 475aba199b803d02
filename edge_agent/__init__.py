"""Maskwatch's edge agent: counts who wears a face mask, who wears it badly and who wears none."""

__version__ = "0.1.0"
