"""From boxes to poses: runtime, flip test, decoding, export."""
