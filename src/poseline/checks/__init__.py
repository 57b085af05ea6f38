"""Data validation. Great Expectations lives here and nowhere else, and loads when a check runs, not before."""
