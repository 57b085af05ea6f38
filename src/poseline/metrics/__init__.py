"""Benchmark protocols and their uncertainty."""
