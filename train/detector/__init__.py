"""The face detector: boxes of photographs become a small single-shot network (docs/detector.md)."""
