"""Backbones: each turns images into feature maps, finest first."""
