"""Official files, records, checks, crops and batches."""
