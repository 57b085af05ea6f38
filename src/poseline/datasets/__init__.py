"""Data sets: one folder a format, and what they share."""
