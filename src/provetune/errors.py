"""Every error that provetune raises on purpose.

    ProvetuneError                exit code 1 unless a subclass says otherwise
    ├── SpecError                 2   the project file says something that cannot be meant
    ├── DataError                 2   a data file cannot be read as examples
    ├── ModelError                2   a base model cannot be found, loaded or used
    ├── FolderError               2   a folder cannot be read or written
    ├── EvidenceError             2   an evidence file is incomplete or does not match itself
    │   └── NotToShip             3   the decision is not to ship (4: not enough evidence) and no waiver answers for it
    ├── AuditBlocked              5   the audit found something that must be mended first
    ├── HardwareTooSmall          6   nothing can be trained with this hardware or budget
    └── RunFailed                 8   stopped for a named reason, state saved
        ├── EndpointError         8   a model behind an endpoint cannot be asked, or does not answer
        └── TrainingDiverged      8   loss or gradient is no finite number, has exploded, or no gradient arrives

A message says what was found, what was wanted, where, and the next command.
"""

from __future__ import annotations


class ProvetuneError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    exit_code = 1


class SpecError(ProvetuneError):
    """The project file says something that cannot be meant."""

    exit_code = 2


class DataError(ProvetuneError):
    """A data file cannot be read as examples."""

    exit_code = 2


class ModelError(ProvetuneError):
    """A base model cannot be found, loaded or used."""

    exit_code = 2


class FolderError(ProvetuneError):
    """A folder cannot be read or written."""

    exit_code = 2


class EvidenceError(ProvetuneError):
    """An evidence file is incomplete or does not match itself."""

    exit_code = 2


class NotToShip(EvidenceError):
    """The decision is not to ship, and no waiver answers for it; 4 where the evidence was not enough."""

    exit_code = 3

    def __init__(self, message: str, outcome: str = "hold") -> None:
        super().__init__(message)
        if outcome == "inconclusive":
            self.exit_code = 4


class AuditBlocked(ProvetuneError):
    """The audit found something that must be mended before training."""

    exit_code = 5


class HardwareTooSmall(ProvetuneError):
    """Nothing can be trained with this hardware or budget."""

    exit_code = 6


class RunFailed(ProvetuneError):
    """A run stopped for a named reason; its state is saved and the same command continues it."""

    exit_code = 8


class EndpointError(RunFailed):
    """A model behind an endpoint cannot be asked, or does not answer; the same command continues."""


class TrainingDiverged(RunFailed):
    """Loss or gradient is no finite number, has exploded, or no gradient arrives."""


class Notice(UserWarning):
    """Something a user should know that stops nothing, such as a slower way that is taken; the command line says each once."""
