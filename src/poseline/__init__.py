"""Multi-person pose estimation and tracking as a traceable pipeline."""

__version__ = "0.1.0"
