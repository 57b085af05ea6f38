"""`poseline sweep`: a search over parameters whose trials are DVC experiments."""
