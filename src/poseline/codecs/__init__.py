"""Codecs: one object encodes keypoints into targets and decodes outputs into keypoints."""
