"""What is said about scores: intervals, comparison, gate, diagnosis, slices, calibration."""
