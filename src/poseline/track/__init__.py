"""Pose trackers and smoothing."""
