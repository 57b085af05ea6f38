"""Where the pipeline's files lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths of the pipeline's files.

    Attributes:
        root: the tree that the pipeline works in.
        main: the main checkout, where caches outlive an experiment's temporary tree; the root where not given.
    """

    root: Path
    main: Path | None = None

    @property
    def mini(self) -> Path:
        """The embedded data sets."""
        return self.root / "data/mini"

    @property
    def validated(self) -> Path:
        """Findings and manifest of the data validation."""
        return self.root / "data/validated"

    @property
    def processed(self) -> Path:
        """Person records and crops."""
        return self.root / "data/processed"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.root / "data/model"

    @property
    def predictions(self) -> Path:
        """Predicted poses, one folder a benchmark."""
        return self.root / "data/predictions"

    @property
    def tracks(self) -> Path:
        """Tracked poses."""
        return self.root / "data/tracks"

    @property
    def metrics(self) -> Path:
        """Scores, one JSON a benchmark."""
        return self.root / "reports/metrics"

    @property
    def per_person(self) -> Path:
        """Scores of every person."""
        return self.root / "reports/per_person"

    @property
    def plots(self) -> Path:
        """Tables that `dvc plots` draws."""
        return self.root / "reports/plots"

    @property
    def page(self) -> Path:
        """The report page."""
        return self.root / "reports/index.html"

    @property
    def baseline(self) -> Path:
        """What the gate compares with."""
        return self.root / "reports/baseline"

    @property
    def cache(self) -> Path:
        """Work in progress that no stage owns: unfinished checkpoints, records of runs."""
        return (self.main or self.root) / ".cache"
