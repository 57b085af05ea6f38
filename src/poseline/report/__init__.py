"""Drawings, charts and the report page."""
