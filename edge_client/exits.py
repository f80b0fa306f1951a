"""Exit codes of the `goodnoise` command, each with its meaning."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from shared.errors import Code, GoodnoiseError

if TYPE_CHECKING:  # a command that only prints its help loads no network's runtime
    from edge_client.batch import Result

__all__ = ["EXIT_HELP", "Exit", "exit_of_error", "exit_of_results"]


class Exit(IntEnum):
    """What the command ended with."""

    PROTECTED = 0
    STILL_MATCHES = 1
    BAD_INPUT = 2
    NO_FACE = 3
    NO_BUNDLE = 4
    FAILED = 5
    INTERRUPTED = 130


EXIT_HELP = """Exit codes:
  0 every face is protected
  1 a face still matches at the largest budget
  2 bad input or usage
  3 a photo holds no face (all others are protected)
  4 no cloud can be reached and no bundle is installed
  5 something failed here (disk, damaged bundle)
130 interrupted: what is done is kept, the same command goes on"""

_OF_CODE = {
    Code.INVALID_INPUT: Exit.BAD_INPUT,
    Code.NOT_FOUND: Exit.BAD_INPUT,
    Code.EXHAUSTED: Exit.BAD_INPUT,
    Code.PERMISSION: Exit.BAD_INPUT,
    Code.NO_FACE: Exit.NO_FACE,
    Code.UNAVAILABLE: Exit.NO_BUNDLE,
    Code.DEADLINE: Exit.NO_BUNDLE,
    Code.PRECONDITION: Exit.NO_BUNDLE,
    Code.CANCELLED: Exit.INTERRUPTED,
}
# The first of these that any photo ended with is what the command ends with.
_WORST_FIRST = (Exit.FAILED, Exit.NO_BUNDLE, Exit.BAD_INPUT, Exit.STILL_MATCHES, Exit.NO_FACE)


def exit_of_error(error: GoodnoiseError) -> Exit:
    """The exit code for an error."""
    if error.details.get("resource") == "disk":
        return Exit.FAILED
    if "retry_after_seconds" in error.details:
        return Exit.NO_BUNDLE  # a cloud that has no time
    return _OF_CODE.get(error.code, Exit.FAILED)


def exit_of_results(results: Sequence[Result]) -> Exit:
    """The exit code for a run: the gravest of its photos'."""
    ended = {_exit_of_result(result) for result in results}
    return next((code for code in _WORST_FIRST if code in ended), Exit.PROTECTED)


def _exit_of_result(result: Result) -> Exit:
    if result.error is not None:
        # The bundle is loaded by now: what stands in a photo's way is the photo or the place of its result.
        taken = result.error.code is Code.PRECONDITION
        return Exit.BAD_INPUT if taken else exit_of_error(result.error)
    protected = result.report is not None and bool(result.report["protected"])
    return Exit.PROTECTED if protected else Exit.STILL_MATCHES
