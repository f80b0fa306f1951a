"""Small bridges between NumPy and the Array API: what the attack core needs beyond the standard."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device, is_torch_namespace
from array_api_compat import numpy as numpy_namespace

__all__ = [
    "Array",
    "check_images",
    "clip",
    "divide_by_mean_size",
    "doubles",
    "energy",
    "is_numpy",
    "like",
    "namespace",
    "per_image",
    "scatter_add",
    "take",
    "zeros",
]

# Any array of the Array API standard (NumPy, torch, ...). The standard has no type for it yet.
Array = Any


def namespace(array: Array) -> Any:  # noqa: ANN401 - a module
    """The Array API namespace that an array belongs to."""
    # Asked for several times a step, and the general question takes microseconds.
    return numpy_namespace if isinstance(array, np.ndarray) else array_namespace(array)


def like(values: npt.ArrayLike, array: Array) -> Array:
    """The values as an array of the same library, type and device as `array`."""
    if isinstance(array, np.ndarray):
        return np.asarray(values, dtype=array.dtype)
    xp = array_namespace(array)
    # A copy, since torch cannot mark an array as read-only and warns about it.
    return xp.asarray(np.array(values), dtype=array.dtype, device=device(array))


def zeros(shape: tuple[int, ...], array: Array) -> Array:
    """Zeros of the same library, type and device as `array`."""
    return namespace(array).zeros(shape, dtype=array.dtype, device=device(array))


def is_numpy(array: Array) -> bool:
    """Whether this is a NumPy array."""
    return isinstance(array, np.ndarray)


def doubles(values: Array) -> npt.NDArray[np.float64]:
    """Any array, or a number, as a NumPy array of float64 on the host."""
    if isinstance(values, np.ndarray | np.generic | float | int):
        return np.asarray(values, dtype=np.float64)
    on_host = values.detach().cpu() if hasattr(values, "detach") else values
    return np.asarray(np.from_dlpack(on_host), dtype=np.float64)


def check_images(images: Array, name: str = "images") -> None:
    """Refuse what is no batch of floating images.

    Raises:
        ValueError: when the shape is not N C H W or the type is not floating.
    """
    xp = namespace(images)
    if images.ndim != 4 or not xp.isdtype(images.dtype, "real floating"):
        shape = tuple(images.shape)
        raise ValueError(
            f"{name}: expected floating values of shape N C H W, got {images.dtype} of shape {shape}"
        )


def clip(fresh: Array, lower: Array, upper: Array) -> Array:
    """Between two arrays of the same shape; overwrites its first argument where the library can."""
    if isinstance(fresh, np.ndarray):
        np.maximum(fresh, lower, out=fresh)
        return np.minimum(fresh, upper, out=fresh)
    xp = namespace(fresh)
    if is_torch_namespace(xp):
        return fresh.clamp_(lower, upper)
    return xp.minimum(xp.maximum(fresh, lower), upper)


def divide_by_mean_size(values: Array) -> Array:
    """Each image over its mean absolute value, N C H W; a zero image stays zero. A new array."""
    shape = (values.shape[0], -1)
    if isinstance(values, np.ndarray):
        # Few calls and few new arrays: between two gradients everything has to come from memory anew.
        fresh = np.abs(values)
        size = np.add.reduce(fresh.reshape(shape), axis=1) / fresh[0].size
        size[size == 0] = 1.0
        return np.divide(values, size[:, None, None, None], out=fresh)
    xp = namespace(values)
    size = xp.mean(xp.reshape(xp.abs(values), shape), axis=1)
    return values / per_image(xp.where(size > 0, size, 1.0))


def energy(values: Array) -> Array:
    """The squared L2 norm of each image, N C H W to N."""
    xp = namespace(values)
    flat = xp.reshape(values, (values.shape[0], -1))
    # torch's dot products of rows take six times as long as a product and a sum.
    return xp.sum(flat * flat, axis=1) if is_torch_namespace(xp) else xp.vecdot(flat, flat)


def per_image(values: Array) -> Array:
    """Shape N to N 1 1 1, so that one number an image broadcasts over N C H W."""
    return values[:, None, None, None]


def take(flat: Array, index: npt.NDArray[np.intp]) -> Array:
    """Columns of a C P array: C and then the shape of the index."""
    if isinstance(flat, np.ndarray):
        return np.take(flat, index, axis=1, mode="clip")
    xp = array_namespace(flat)
    picked = xp.take(flat, xp.asarray(index.reshape(-1), device=device(flat)), axis=1)
    return xp.reshape(picked, (flat.shape[0], *index.shape))


def scatter_add(values: Array, index: npt.NDArray[np.intp], size: int) -> Array:
    """The adjoint of `take`: values of shape C P added up into C `size` where the index (P) says."""
    if is_torch_namespace(namespace(values)):
        xp = namespace(values)
        place = xp.asarray(index, device=device(values))
        return values.new_zeros((values.shape[0], size)).index_add_(1, place, values)
    rows = values if isinstance(values, np.ndarray) else doubles(values)
    # bincount is several times faster than np.add.at.
    sums = np.stack([np.bincount(index, weights=row, minlength=size) for row in rows])
    return like(sums, values)
