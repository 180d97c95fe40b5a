"""`ExitCode` is the table of the command line's exit codes; errors carry theirs."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the number says that a command ends with.

    Attributes:
        meaning: One sentence, for help and documents.
    """

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        """Make a member of a number and its meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "done, and nothing is wrong"
    FAILED = 1, "an error, a check that failed, or an image that could not be explained"
    USAGE = 2, "wrong usage: an unknown option, or a value that it does not take"
    UNPROVEN = 3, "nothing is wrong, but not everything could be proven"
    HANGUP = 129, "ended by SIGHUP, such as a terminal that was closed; drafts are deleted"
    INTERRUPTED = 130, "interrupted by Ctrl-C (SIGINT)"
    BROKEN_PIPE = 141, "the reader of the output has gone, such as `head`"
    TERMINATED = 143, "ended by SIGTERM; drafts are deleted"
