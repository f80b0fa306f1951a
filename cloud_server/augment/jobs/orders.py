"""What an owner asks for, held to what the service allows, before an image is taken in."""

from __future__ import annotations

from collections.abc import Mapping

from cloud_server.augment.job import Job, Train, parse_job
from cloud_server.augment.jobs.quotas import Quotas, over
from cloud_server.augment.jobs.records import Order
from shared.errors import Code, GoodnoiseError

__all__ = ["check_count", "checked_job"]

_RECIPE = {"field": "recipe"}
_BATCH = 1024


def checked_job(order: Order, quotas: Quotas) -> Job:
    """The job of an order's recipe.

    Raises:
        GoodnoiseError: INVALID_INPUT naming line, key and value, or EXHAUSTED for what would take too long.
    """
    try:
        job = parse_job(order.recipe)
    except GoodnoiseError as error:
        raise GoodnoiseError(error.code, error.message, {**error.details, **_RECIPE}) from error
    if job.group == "file_name":
        raise _wrong("group: 'file_name' names files, not a bias; choose another column")
    _check_training(job.surrogate, quotas)
    if isinstance(job.resize, tuple) and max(job.resize) > quotas.side:
        raise over(
            "side", f"recipe: resize: {list(job.resize)} is more than {quotas.side} a side; choose less"
        )
    if isinstance(job.strategy, Mapping) and sum(job.strategy.values()) > quotas.samples:
        total = sum(job.strategy.values())
        raise over(
            "samples",
            f"recipe: sampling_strategy asks for {total} images, at most {quotas.samples} are made",
        )
    return job


def check_count(order: Order, quotas: Quotas) -> None:
    """Refuse an order that cannot be filled.

    Raises:
        GoodnoiseError: INVALID_INPUT for neither or both of dataset and images, EXHAUSTED for too many.
    """
    if bool(order.dataset) == bool(order.images):
        both = "both dataset and images" if order.dataset else "neither dataset nor images"
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"the order names {both}; name an allowed dataset, or say how many images follow",
            {"field": "images"},
        )
    if order.images > quotas.images:
        raise over(
            "images",
            f"images is {order.images}, at most {quotas.images} may be sent for one job; send fewer, or "
            "ask the operator to allow a dataset",
        )


def _check_training(train: object, quotas: Quotas) -> None:
    if not isinstance(train, Train):
        return  # `parse_job` refuses files of a peer
    if train.updates > quotas.updates:
        raise over(
            "updates", f"recipe: surrogate.train.updates: {train.updates} is more than {quotas.updates}"
        )
    if train.batch > _BATCH:
        raise over(
            "batch", f"recipe: surrogate.train.batch: {train.batch} is more than {_BATCH}; choose less"
        )


def _wrong(why: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"recipe: {why}", _RECIPE)
