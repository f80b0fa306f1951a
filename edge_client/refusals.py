"""What a user needs to know where python-tuf refuses a cloud's metadata."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from shared.errors import Code, GoodnoiseError

__all__ = ["refusal"]

_KEPT = "nothing was installed; what is installed goes on working"


class _Said(NamedTuple):
    code: Code
    reason: str
    text: str


# By the names of tuf's errors, so that this module does not load tuf.
_REFUSALS = {
    "ExpiredMetadataError": _Said(
        Code.PRECONDITION,
        "expired",
        "has expired: the cloud may be held back, its operator late with 'goodnoise-cloud bundle refresh', "
        "or this device's clock wrong",
    ),
    "BadVersionNumberError": _Said(
        Code.PRECONDITION,
        "rollback",
        "is older than what this device has seen, or not the version announced: try again later, or tell the "
        "cloud's operator",
    ),
    "UnsignedMetadataError": _Said(
        Code.CORRUPT,
        "unsigned",
        "is not signed by enough of the keys that this device trusts: is this the right cloud? Where its "
        "operator lost the old keys, give the new root.json with --root",
    ),
    "LengthOrHashMismatchError": _Said(
        Code.CORRUPT, "mixed", "is not what the signed metadata names: tell the cloud's operator"
    ),
    "DownloadLengthMismatchError": _Said(
        Code.CORRUPT, "too_long", "is longer than the signed metadata allows: tell the cloud's operator"
    ),
}
_OTHER = _Said(Code.CORRUPT, "malformed", "cannot be used: tell the cloud's operator")


def refusal(error: Exception) -> GoodnoiseError:
    """The project's error for one of tuf's; the channel's own comes back as it was.

    Args:
        error: a `RepositoryError` or `DownloadError` of `tuf.api.exceptions`.
    """
    if isinstance(error.__cause__, GoodnoiseError):
        return error.__cause__
    said = next(
        (_REFUSALS[kind.__name__] for kind in type(error).mro() if kind.__name__ in _REFUSALS), _OTHER
    )
    clock = f"; it is {datetime.now(UTC):%Y-%m-%d %H:%M} UTC here" if said.reason == "expired" else ""
    return GoodnoiseError(
        said.code, f"the cloud's metadata {said.text} ({error}{clock}); {_KEPT}", {"reason": said.reason}
    )
