"""How far a long piece of work is, on stderr: a bar on a terminal, else a line every some seconds.

A meter counts what is done. Between two lines it costs an addition: values such as a loss, which may lie on a device, are read only when
a line is due. What has no meter still shows that it lives: the command's name and the time so far.

The environment variable POSELINE_PROGRESS sets the seconds between two lines (default 10); 0 or ``off`` leaves them and the bars out. So
does --json.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from poseline.errors import ConfigError

if TYPE_CHECKING:
    from tqdm import tqdm

VARIABLE = "POSELINE_PROGRESS"
INTERVAL_S = 10.0
Item = TypeVar("Item")
Values = Callable[[], Mapping[str, float]]


@dataclass
class Speaker:
    """What the process shows at present: the command's name, its meters and phases, and when the last line was written."""

    name: str = ""
    silent: bool = False
    started: float = 0.0
    spoke: float = 0.0
    meters: list[Meter] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def say(self, text: str) -> None:
        """Write one line and remember when."""
        with self.lock:
            self.spoke = time.monotonic()
            print(text, file=sys.stderr, flush=True)


_speaker = Speaker()


def note(text: str) -> None:
    """Say, whether progress is shown or not, what a result rests on."""
    _speaker.say(f"{_speaker.name or 'poseline'}: {text}")


def warn(text: str) -> None:
    """Say, whether progress is shown or not, what a user should know before he trusts a result."""
    note(f"warning: {text}")


def silence(silent: bool) -> bool:
    """Leave out all bars and lines, or show them again; the value given."""
    _speaker.silent = silent
    return silent


def is_silent() -> bool:
    """Whether nothing is shown."""
    return _speaker.silent or interval_s() == 0


def interval_s() -> float:
    """Seconds between two lines; 0 where none are wanted.

    Raises:
        ConfigError: POSELINE_PROGRESS is no number of seconds.
    """
    text = os.environ.get(VARIABLE, "").strip().lower()
    if text in ("", "off"):
        return 0.0 if text else INTERVAL_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{VARIABLE}: expected seconds between two lines of progress, 0 or off, got '{text}'.")
    return seconds


@contextmanager
def phase(what: str) -> Iterator[None]:
    """A part of the work that cannot be counted; where it takes long, the line that the command lives names it."""
    _speaker.phases.append(what)
    try:
        yield
    finally:
        _speaker.phases.pop()


@contextmanager
def handed_over() -> Iterator[None]:
    """Say nothing within the block: another process shows how far the work is."""
    before, _speaker.silent = _speaker.silent, True
    try:
        yield
    finally:
        _speaker.silent = before


@contextmanager
def working(name: str) -> Iterator[None]:
    """A command at work under this name: while it says nothing else for a while, a line says that it lives."""
    before, _speaker.name = _speaker.name, name
    _speaker.started = time.monotonic()
    if before or is_silent() or sys.stderr.isatty():
        try:
            yield
        finally:
            _speaker.name = before
        return
    stopped = threading.Event()
    _speaker.spoke = _speaker.started
    thread = threading.Thread(target=_watch, args=(stopped, interval_s()), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        _speaker.name = before


def _watch(stopped: threading.Event, interval: float) -> None:
    """Speak where a line is half an interval late: a single step takes long, or what runs has no meter."""
    while not stopped.wait(max(_speaker.spoke + 1.5 * interval - time.monotonic(), 0.05)):
        if time.monotonic() - _speaker.spoke < 1.5 * interval or _speaker.silent:
            continue
        with _speaker.lock:
            meter = _speaker.meters[-1] if _speaker.meters else None
            what = _speaker.phases[-1] if _speaker.phases else "at work"
            _speaker.say(meter.line() if meter else f"{_speaker.name}: {what}, {duration(time.monotonic() - _speaker.started)}")


class Meter:
    """Counts the parts of a piece of work that are done; safe to use from several threads.

    Attributes:
        what: the piece of work, as shown.
        total: parts in all; None where that is not known.
        unit: of the parts, plural.
        values: read only when a line is due: what else to show.
        ahead: parts that follow after this piece in the same run, for the time left.
        waited_s: time that the work waited for its data (see :meth:`timed`).
    """

    def __init__(
        self, what: str, total: int | None, unit: str, *, values: Values | None = None, ahead: int = 0, hidden: bool = False
    ) -> None:
        self.what, self.total, self.unit, self.values, self.ahead = what, total, unit, values, ahead
        self.done, self.waited_s = 0, 0.0
        self._started = time.monotonic()
        self._shown: Mapping[str, float] = {}
        self._lock = threading.Lock()
        self._interval = 0.0 if hidden or is_silent() else interval_s()
        self._due = self._started + self._interval
        self._bar: tqdm[None] | None = None

    def __enter__(self) -> Meter:
        self._started = time.monotonic()
        self._due = self._started + self._interval
        if self._interval and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(desc=self._title(), total=self.total, unit=f" {self.unit}", leave=False, dynamic_ncols=True)
            self._due = self._started + min(self._interval, 1.0)
        if self._interval:
            _speaker.meters.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self in _speaker.meters:
            _speaker.meters.remove(self)
        if self._bar is not None:
            self._bar.close()

    def add(self, count: int = 1) -> None:
        """Count parts as done; writes a line, or renews the bar, where that is due."""
        with self._lock:
            self.done += count
            if not self._interval:
                return
            if self._bar is not None:
                self._bar.update(count)
            now = time.monotonic()
            if now < self._due:
                return
            self._due = now + (min(self._interval, 1.0) if self._bar is not None else self._interval)
        if self.values is not None:
            self._shown = self.values()
        if self._bar is not None:
            self._bar.set_postfix_str("  ".join([*self._details(), *self._pace()[2:]]))
        else:
            _speaker.say(self.line())

    def timed(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, while the time that they keep the work waiting is counted."""
        source = iter(items)
        while True:
            asked = time.monotonic()
            try:
                item = next(source)
            except StopIteration:
                return
            finally:
                self.waited_s += time.monotonic() - asked
            yield item

    def line(self) -> str:
        """The state in one line: done of total, values, rate, fraction of time waited for data, time left.

        >>> meter = Meter("predict", 100, "images")
        >>> meter.line().startswith("predict: 0/100 images")
        True
        """
        of = f"/{self.total:,}" if self.total is not None else ""
        return "  ".join([f"{self._title()}: {self.done:,}{of} {self.unit}", *self._details(), *self._pace()])

    def _title(self) -> str:
        return f"{_speaker.name}: {self.what}" if _speaker.name else self.what

    def _details(self) -> list[str]:
        shown = [f"{name} {significant(value)}" for name, value in self._shown.items()]
        spent = time.monotonic() - self._started
        return shown + ([f"data wait {self.waited_s / spent:.0%}"] if self.waited_s and spent else [])

    def _pace(self) -> list[str]:
        spent = time.monotonic() - self._started
        if not self.done or not spent:
            return [f"{duration(spent)} so far"]
        rate = self.done / spent
        left = [] if self.total is None else [f"{duration((self.total - self.done) / rate)} left"]
        whole = [f"{duration((self.total - self.done + self.ahead) / rate)} left in all"] if self.total is not None and self.ahead else []
        return [f"{significant(rate)} {self.unit}/s", *left, *whole]


def follow(items: Iterable[Item], what: str, *, total: int | None = None, unit: str = "images") -> Iterator[Item]:
    """The items, each counted when the next is asked for."""
    with Meter(what, total, unit) as meter:
        for item in items:
            yield item
            meter.add()


def significant(value: float) -> str:
    """A number with three significant digits.

    >>> significant(0.0005), significant(0.000512345), significant(1.0), significant(193.4), significant(2048.0), significant(0.0)
    ('0.000500', '0.000512', '1.00', '193', '2048', '0')
    """
    if value == 0:
        return "0"
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:#.3g}"


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(7.4), duration(80), duration(3700), duration(200_000)
    ('7 s', '1 min 20 s', '1 h 1 min', '2 d 7 h')
    """
    whole = round(seconds)
    for large, small, size, step in (("d", "h", 86_400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size} {large} {whole % size // step} {small}"
    return f"{whole} s"
