"""What the fifth column of a label says beside how much a face counts."""

FACE, UNSURE = 1.0, -1.0
