"""What a run amounts to: counts, and frames a second overall and in each part."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Summary:
    """The end of a run.

    Attributes:
        out: folder of the results.
        frames: written, those without people too.
        people: poses in them.
        tracks: ids given; None without tracking.
        broken: frames that could not be read; they are left out.
        missing: frames that headers promise and that were not there.
        seconds: of the whole run, loading aside.
        frames_per_second: of this run's frames; those of a run that it resumes are not counted.
        parts: frames a second of each part alone, by the seconds that all threads spent in it.
        detector, model: in use.
        problems: of the broken frames, a line each, at most 100.
        notes: what else a user should know.
        files: what was written, relative to ``out``.
    """

    out: str
    frames: int
    people: int
    tracks: int | None
    broken: int
    missing: int
    seconds: float
    frames_per_second: float
    parts: dict[str, float]
    detector: str
    model: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The summary as a JSON object."""
        return asdict(self)

    def to_lines(self) -> list[str]:
        """The summary for people; the last line says where the results are."""
        tracks = "" if self.tracks is None else f", {self.tracks} tracks"
        broken = f", {self.broken} broken frames skipped" * bool(self.broken)
        missing = f", {self.missing} frames promised by headers were not there" * bool(self.missing)
        lines = [f"pose: {self.frames} frames, {self.people} people{tracks}{broken}{missing}"]
        lines += [f"  skipped: {problem}" for problem in self.problems[:5]]
        if len(self.problems) > 5:
            lines.append(f"  ... and {self.broken - 5} more, see summary.json")
        lines += [f"  note: {note}" for note in self.notes]
        parts = ", ".join(f"{name} {rate:.1f}" for name, rate in self.parts.items())
        lines.append(f"  {self.frames_per_second:.1f} frames/s in {self.seconds:.1f} s ({parts})")
        lines.append(f"results in {self.out}: {', '.join(self.files)}")
        return lines


def part_rates(seconds: dict[str, float], frames: int) -> dict[str, float]:
    """Frames a second of each part.

    >>> part_rates({"detect": 2.0}, 50)
    {'detect': 25.0}
    """
    order = ("decode", "detect", "pose", "track", "write")
    return {name: round(frames / seconds[name], 2) for name in order if seconds.get(name, 0) > 1e-9}
