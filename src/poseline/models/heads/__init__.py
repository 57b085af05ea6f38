"""Heads: each turns a backbone's feature maps into what a codec decodes."""
