"""Exit codes: what a script can tell from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_client.batch import Result
from edge_client.exits import EXIT_HELP, Exit, exit_of_error, exit_of_results
from shared.errors import Code, GoodnoiseError


def ended(protected: bool | None = None, code: Code | None = None, **details: str) -> Result:
    report = None if protected is None else {"protected": protected}
    return Result(Path("a.jpg"), None, report, GoodnoiseError(code, "why", details) if code else None)


DONE, MATCHES, NO_FACE = ended(protected=True), ended(protected=False), ended(code=Code.NO_FACE)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([], Exit.PROTECTED),
        ([DONE, DONE], Exit.PROTECTED),
        ([DONE, NO_FACE], Exit.NO_FACE),
        ([NO_FACE, MATCHES, DONE], Exit.STILL_MATCHES),
        ([MATCHES, ended(code=Code.INVALID_INPUT)], Exit.BAD_INPUT),
        ([ended(code=Code.PRECONDITION)], Exit.BAD_INPUT),  # the result's place is taken
        ([ended(code=Code.INVALID_INPUT), ended(code=Code.INTERNAL)], Exit.FAILED),
        ([ended(code=Code.EXHAUSTED)], Exit.BAD_INPUT),  # a photo that is too large
        ([ended(code=Code.EXHAUSTED, resource="disk"), MATCHES], Exit.FAILED),
    ],
)
def test_a_run_ends_with_the_gravest_of_its_photos(results, code):
    assert exit_of_results(results) is code


@pytest.mark.parametrize("code", Code)
def test_every_error_has_an_exit_code_that_is_no_success_and_no_verdict(code):
    found = exit_of_error(GoodnoiseError(code, "why"))
    assert found not in (Exit.PROTECTED, Exit.STILL_MATCHES)


def test_a_cloud_that_has_no_time_is_one_that_cannot_be_reached():
    busy = GoodnoiseError(Code.EXHAUSTED, "too often", {"retry_after_seconds": "3"})
    late = GoodnoiseError(Code.DEADLINE, "late")
    assert exit_of_error(busy) is exit_of_error(late) is Exit.NO_BUNDLE


def test_the_help_lists_every_code():
    listed = {int(line.split()[0]) for line in EXIT_HELP.splitlines()[1:]}
    assert listed == set(map(int, Exit))
