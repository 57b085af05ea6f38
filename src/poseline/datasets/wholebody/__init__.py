"""COCO-WholeBody."""
