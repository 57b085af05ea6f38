"""Networks: backbones, heads and losses, built from their configuration; trained ones saved and loaded."""
