"""Everything statecore raises on purpose.

StatecoreError
  DefinitionError     a machine's table cannot be trusted; lists every problem, with the path where there is one
  StepError           a handler in a table raised; the machine's author must mend it
  ExplorationError    a machine cannot be explored as it was asked; says what to give
  CodecError          a value cannot be written to, or read from, the journal
  ConfigError         a setting is missing or absurd; names the key that holds it
  NotAccepted         `send` could not take the text; nothing was recorded
  GatewayStopped      the gateway has let go, so what is awaited will not happen in this process
  JournalError        the journal cannot be used, or not now
    JournalBusy       another process holds the database; try again
    JournalFull       the disk is full; nothing was recorded
    JournalCorrupt    the file is torn or damaged; keep it, see the message
    NotAJournal       the file is something else
    JournalTooNew     a newer statecore wrote it
    Conflict          another writer appended to the same instance first
    Fenced            this process no longer owns the account; it must stop
"""

import attrs


class StatecoreError(Exception):
    """What every error of statecore derives from."""


@attrs.frozen
class DefinitionError(StatecoreError):
    """A machine definition was refused.

    Args:
        machine: name of the machine.
        problems: one sentence each; states, events and paths are named in it.
    """

    machine: str
    problems: tuple[str, ...]

    def __str__(self) -> str:
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        return f"machine {self.machine!r} is refused:\n{listed}"


@attrs.frozen
class StepError(StatecoreError):
    """A handler in a machine's table raised; the cause is chained."""

    machine: str
    state: str
    event: str
    error: str

    def __str__(self) -> str:
        return f"machine {self.machine!r}: the handler for {self.event} in {self.state!r} raised {self.error}"


class ExplorationError(StatecoreError):
    """A machine or a model cannot be explored as it was asked for."""


class CodecError(StatecoreError):
    """A value does not survive the journal's codec, or a row cannot be read back."""


@attrs.frozen
class ConfigError(StatecoreError):
    """A setting is missing, unknown or absurd.

    Args:
        key: the dotted key that holds it, as the user wrote it.
        why: what is wrong and what would be right.
    """

    key: str
    why: str

    def __str__(self) -> str:
        return f"{self.key}: {self.why}"


class NotAccepted(StatecoreError):
    """`send` did not take the text. Nothing was recorded, so nothing will be sent."""


class GatewayStopped(StatecoreError):
    """The gateway has let go of its accounts. What was accepted is in the journal, and the next start goes on with it."""


class JournalError(StatecoreError):
    """The journal cannot be used, or not now."""


class JournalBusy(JournalError):
    """Another process held the database longer than we wait. Nothing was written; trying again is safe."""


class JournalFull(JournalError):
    """The disk (or the size limit) is full. Nothing was written; free some space and try again."""


class JournalCorrupt(JournalError):
    """The file is torn or damaged. Keep it: most of it can usually be read."""


class NotAJournal(JournalError):
    """The file exists and is not a journal of statecore."""


class JournalTooNew(JournalError):
    """The journal was written by a newer version of statecore."""


class Conflict(JournalError):
    """Another writer appended to the same instance first. The append changed nothing."""


@attrs.frozen
class Fenced(JournalError):
    """This process lost the account: another one took it, with a newer epoch. The append changed nothing."""

    account: str
    ours: int
    current: int

    def __str__(self) -> str:
        return (
            f"account {self.account!r} now belongs to another process (epoch {self.current}, ours was {self.ours}); "
            "this one has stopped driving it"
        )
