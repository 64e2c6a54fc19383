"""Every exception that Boresight raises on purpose.

    BoresightError                      anything a user can act on
    ├── UsageError (ValueError)         wrong option or combination, found before any work
    │   └── UnknownNameError (KeyError) no such method, world, format...
    ├── InputError (ValueError)         bad input data: names the file, the row and the fix
    │   ├── RecordError                 a row cannot become a record
    │   └── MediaError                  an image cannot be read safely
    ├── ModelError (ValueError)         the model cannot do what the data needs
    ├── PreflightError (RuntimeError)   the first batch proves that training would be wrong
    ├── CheckpointError (OSError)       a checkpoint is damaged or belongs to another run
    ├── RunLockedError (OSError)        another process writes to the same output folder
    ├── DivergedError (ArithmeticError) a loss or gradient is not finite
    ├── ServerError (ConnectionError)   a model server cannot be reached, or refuses every call
    ├── BudgetError (RuntimeError)      the calls or the money are spent; what they bought is kept
    ├── GateError (RuntimeError)        a quality gate the user asked for was not met
    └── InterruptedRunError (RuntimeError)  stopped on request, with a valid checkpoint

The message says where, what was expected, what was found and what to do, in one line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_DEFECT = 1
EXIT_USAGE = 2
EXIT_GATE = 3
EXIT_INTERRUPTED = 4


class BoresightError(Exception):
    """Root of the tree. `exit_code` is what the command line returns for it."""

    exit_code = EXIT_USAGE
    is_everywhere = False
    """Whether every process of the run raises it, so that one of them is enough to show it."""


class UsageError(BoresightError, ValueError):
    """A wrong option, or options that cannot work together."""


class UnknownNameError(UsageError, KeyError):
    """A registry has no member of this name."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print the repr of the message


class InputError(BoresightError, ValueError):
    """Input data that cannot be used.

    Args:
        reason: What was expected, what was found, what to do.
        source: File the data came from.
        row: Row number in that file, counted from 1.
    """

    def __init__(self, reason: str, *, source: str | None = None, row: int | None = None) -> None:
        self.reason = reason
        self.source = source
        self.row = row
        super().__init__(reason)

    def __str__(self) -> str:
        where = [part for part in (_row(self.row), self.source) if part]
        return f"{' of '.join(where)}: {self.reason}" if where else self.reason

    def at(self, *, source: str, row: int | None = None) -> InputError:
        """The same error with the place that the inner code could not know."""
        return type(self)(self.reason, source=self.source or source, row=self.row or row)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_input_error, (type(self), self.reason, self.source, self.row)


class RecordError(InputError):
    """A row cannot become a record."""


class MediaError(InputError):
    """A picture, clip or recording cannot be read safely."""


class ModelError(BoresightError, ValueError):
    """The model cannot do what the data or the method needs."""


class PreflightError(BoresightError, RuntimeError):
    """The first batch shows that training would be silently wrong."""


class CheckpointError(BoresightError, OSError):
    """A checkpoint is damaged, or belongs to another run."""


class RunLockedError(BoresightError, OSError):
    """Another process is writing to the same output folder."""


class DivergedError(BoresightError, ArithmeticError):
    """A loss or a gradient is NaN or infinite."""


class ServerError(BoresightError, ConnectionError):
    """A model server cannot be reached, or refuses every call."""


class BudgetError(BoresightError, RuntimeError):
    """The next call would exceed the budget; every answer so far is kept."""

    exit_code = EXIT_INTERRUPTED


class GateError(BoresightError, RuntimeError):
    """A quality gate was not met."""

    exit_code = EXIT_GATE


class InterruptedRunError(BoresightError, RuntimeError):
    """The run stopped on request; its last checkpoint is valid."""

    exit_code = EXIT_INTERRUPTED


def _row(row: int | None) -> str | None:
    return None if row is None else f"row {row}"


def _rebuild_input_error(cls: type[InputError], reason: str, source: str | None, row: int | None) -> InputError:
    return cls(reason, source=source, row=row)


def known_names(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known: the nearest, and all that are."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known: {', '.join(known)}."
