"""Halpe full body."""
