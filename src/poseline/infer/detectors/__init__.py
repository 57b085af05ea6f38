"""Person detectors: images to boxes, behind one protocol."""
