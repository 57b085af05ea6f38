"""Errors that a user can act on: one line that says where, what was expected, what was found and the next step."""

from __future__ import annotations


class PoselineError(ValueError):
    """Base of every error that the command line prints without a traceback."""

    exit_code = 2


class ConfigError(PoselineError):
    """A parameter is unknown, of the wrong type or out of range."""


class DataError(PoselineError):
    """An input file is missing, unreadable or against its format."""


class ArtifactError(PoselineError):
    """A file passed between stages is missing, cut short, or made by other parameters."""


class StaleError(ArtifactError):
    """A file passed between stages was made by other parameters or files than those of now.

    Attributes:
        reason: which, and by what, without what to do.
        commands: make it anew, one after another.
        chosen: whether nothing differs but by options of the command that made it.
    """

    def __init__(self, what: str, why: str, commands: tuple[str, ...], *, chosen: bool = False) -> None:
        """The error: what is stale, why, and the commands that renew it, without the word poseline."""
        self.reason, self.commands, self.chosen, self._parts = f"{what} {why}", commands, chosen, (what, why)
        renew = ", then ".join(f"`poseline {command}`" for command in commands)
        super().__init__(f"stale: {self.reason}. Run {renew} (or `dvc repro`), or take it all the same with --allow-stale.")

    def followed_by(self, command: str) -> StaleError:
        """The same for what a later stage made."""
        return StaleError(*self._parts, (*self.commands, command), chosen=self.chosen)


class BusyError(PoselineError):
    """The same work is being done by another process."""


class BackendError(PoselineError):
    """A device, runtime, optional package or server that was asked for is not available."""

    exit_code = 3


class FindingsError(PoselineError):
    """The work was done and its verdict is no: the data has errors, or a gate refuses."""

    exit_code = 1


class DataWarning(UserWarning):
    """Something in an input file was left out or read in another way than it stands there: said in one line on stderr."""


class StoppedError(PoselineError):
    """A signal ended the work early; what was done is saved, and the same command goes on from there.

    Attributes:
        exit_code: 75, "try again" of sysexits.h, on which schedulers requeue; 130 after Ctrl-C, as shells expect.
    """

    def __init__(self, message: str, *, by_user: bool = False) -> None:
        super().__init__(message)
        self.exit_code = 130 if by_user else 75
