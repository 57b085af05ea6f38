"""The study behind a sweep: which trial comes next, which is stopped early, and what all of them gave. It lives in a file of the cache."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poseline.artifacts import Layout
from poseline.config.params import Yaml
from poseline.errors import BackendError, BusyError, ConfigError, DataError, StoppedError
from poseline.experiments.outputs import read_metrics
from poseline.experiments.record import locked
from poseline.experiments.store import sqlite_uri
from poseline.sweep.space import Space
from poseline.sweep.trial import Outcome, read_result, run_trial, suggest
from poseline.train.interrupt import Interrupt

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

MOST_FAILURES = 2
"""Failed trials in a row after which a sweep ends: the fault is not that of the parameters."""


@dataclass(frozen=True)
class Settings:
    """What a sweep is told.

    Attributes:
        name: of the study; trials are NAME-001, NAME-002, ...
        metric: whose largest value is looked for.
        trials: that this call runs.
        seed: of what is proposed.
        prune_after: trials that run to their end before any is stopped early; None: none is stopped.
    """

    name: str
    metric: str = "coco.ap"
    trials: int = 10
    seed: int = 1
    prune_after: int | None = 3


@dataclass(frozen=True)
class Row:
    """One trial for the table at the end."""

    name: str
    params: dict[str, Yaml]
    value: float | None
    state: str
    reason: str = ""


def sweep(space: Space, settings: Settings, layout: Layout, *, say: Callable[[str], None]) -> list[Row]:
    """Run trials; every trial of the study so far.

    Raises:
        BackendError: optuna is not installed.
        BusyError: the study is at work in another process.
        ConfigError: the study of that name has another space or metric; no such metric.
        DataError: no DVC repository, or one trial after another fails.
        StoppedError: a signal ended it; the trial that ran can go on.
    """
    check(settings, layout)
    folder = layout.cache / "sweeps"
    with locked(folder / f"{settings.name}.lock", wait=False) as mine, Interrupt() as interrupt:
        if not mine:
            raise BusyError(f"sweep: '{settings.name}' is at work in another process. Wait for its end, or give another --name.")
        study = open_study(space, settings, folder / f"{settings.name}.db")
        failures = 0
        for _ in range(settings.trials):
            if not propose(study, space, settings.seed):
                say(f"sweep: every combination of {settings.name} has run")
                break
            trial = study.ask(space.distributions())
            name, values = trial_name(settings.name, trial.number), space.values(trial.params)
            say(f"{name}: {describe(values)}")

            def give_up(epoch: int, ap: float, trial: Trial = trial) -> bool:
                trial.report(ap, epoch)
                return settings.prune_after is not None and bool(trial.should_prune())

            outcome = run_trial(
                layout, name, values, log=folder / f"{name}.log", give_up=give_up, interrupted=lambda: interrupt.signal is not None
            )
            value = keep(study, trial, outcome, lambda name=name: read_result(layout, name, settings.metric))  # type: ignore[misc]
            told = f"{settings.metric} {value:.4f}" if value is not None else f"{outcome.state} {outcome.reason}".rstrip()
            say(f"{name}: {told}")
            if interrupt.signal is not None:
                advice = "Run it again to go on: the trial that was stopped is taken up from its checkpoint."
                raise StoppedError(f"sweep: stopped by {interrupt.signal.name}. {advice}", by_user=interrupt.signal.name == "SIGINT")
            failures = failures + 1 if outcome.state == "failed" else 0
            if failures == MOST_FAILURES:
                raise DataError(f"sweep: {failures} trials in a row failed, the last: {outcome.reason} All it said: {folder / name}.log")
        return [row(trial, space, settings) for trial in study.trials]


def check(settings: Settings, layout: Layout) -> None:
    """Nothing, where a sweep can begin.

    Raises:
        BackendError: optuna is not installed.
        ConfigError: a name that no experiment can have, or a metric that the results here lack.
        DataError: no DVC repository.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise BackendError("optuna is not installed. Run: pip install 'poseline[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", settings.name):
        raise ConfigError(f"--name {settings.name}: expected letters, digits, _ and -, for the trials are DVC experiments of that name.")
    root = layout.root.resolve()
    if not any((folder / ".dvc").is_dir() for folder in (root, *root.parents)):
        raise DataError(f"{root}: no DVC repository, so that no experiment can run. Run: poseline init")
    known = read_metrics(sorted(layout.metrics.glob("*.json")))
    if known and settings.metric not in known:
        raise ConfigError(f"--metric {settings.metric}: no such metric in {layout.metrics}. {suggest(settings.metric, known)}")


def open_study(space: Space, settings: Settings, path: Path) -> Study:
    """The study in a file; trials that a killed sweep left are marked, and come again.

    Raises:
        ConfigError: it has another space or metric.
    """
    import optuna

    path.parent.mkdir(parents=True, exist_ok=True)
    startup = settings.prune_after
    study = optuna.create_study(
        storage=sqlite_uri(path.resolve()), study_name=settings.name, direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.NopPruner() if startup is None else optuna.pruners.MedianPruner(n_startup_trials=startup),
    )  # fmt: skip
    # Another seed for each call: one that begins anew would propose the same again.
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.trials))
    meant = {"space": space.describe(), "metric": settings.metric}
    for key, value in meant.items():
        before = study.user_attrs.get(key, value)
        if before != value:
            raise ConfigError(f"sweep: '{settings.name}' has the {key} {before}, now it is {value}. Give another --name, or delete {path}.")
        study.set_user_attr(key, value)
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
    return study


def propose(study: Study, space: Space, seed: int) -> bool:
    """Make the next combination of a space of lists the next trial; False where all have run. Of a space with ranges optuna chooses."""
    import optuna

    states = optuna.trial.TrialState
    grid = space.grid()
    if grid is None or any(trial.state == states.WAITING for trial in study.trials):
        return True
    random.Random(seed).shuffle(grid)
    done = [trial.params for trial in study.trials if trial.state in (states.COMPLETE, states.PRUNED, states.FAIL)]
    left = [combination for combination in grid if combination not in done]
    if left:
        study.enqueue_trial(left[0])
    return bool(left)


def keep(study: Study, trial: Trial, outcome: Outcome, result: Callable[[], float]) -> float | None:
    """Write the end of a trial into the study; its result where it has one."""
    import optuna

    states = optuna.trial.TrialState
    trial.set_user_attr("state", outcome.state)
    trial.set_user_attr("reason", outcome.reason)
    if outcome.state == "complete":
        try:
            value = result()
        except ConfigError:
            study.tell(trial, state=states.FAIL)
            raise
        study.tell(trial, value)
        return value
    study.tell(trial, state=states.PRUNED if outcome.state == "pruned" else states.FAIL)
    if outcome.state == "interrupted":  # the same parameters come again: their training goes on from its checkpoint
        study.enqueue_trial(trial.params)
    return None


def trial_name(study: str, number: int) -> str:
    """The experiment of a trial counted from 0.

    >>> trial_name("rates", 0)
    'rates-001'
    """
    return f"{study}-{number + 1:03d}"


def describe(values: dict[str, Yaml]) -> str:
    """Parameters in words."""
    return ", ".join(f"{key}={value}" for key, value in values.items())


def row(trial: FrozenTrial, space: Space, settings: Settings) -> Row:
    """A trial for the table."""
    state = str(trial.user_attrs.get("state", "waiting" if trial.state.name == "WAITING" else "interrupted"))
    params = space.values(trial.params) if trial.params else {}
    return Row(trial_name(settings.name, trial.number), params, trial.value, state, str(trial.user_attrs.get("reason", "")))


def best(rows: Sequence[Row]) -> Row | None:
    """The trial of the largest value, the first of several; None where none has ended."""
    ended = [row for row in rows if row.value is not None and row.state == "complete"]
    return max(ended, key=lambda row: row.value or 0.0, default=None)
