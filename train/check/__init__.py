"""Checks of photographs, labels and splits."""
