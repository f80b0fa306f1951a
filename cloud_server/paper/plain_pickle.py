"""Unpickling plain values only: a pickle can run any program when it is loaded, so hardly anything passes.

Lists, tuples, numbers, bytes, and arrays of bytes or truth values as NumPy writes them. NumPy itself is never
asked: stand-ins take what a file says of its arrays.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = ["PlainArray", "load_plain"]

_ONE_BYTE = ("u1", "b1")


@dataclass
class PlainArray:
    """Stands for an array of uint8 or bool; `content` is its bytes."""

    content: bytes = b""


@dataclass
class _Kind:
    """Stands for a type of NumPy of one byte."""

    name: str


def load_plain(content: bytes) -> object:
    """What a pickle holds.

    Raises:
        ValueError: saying what it asks for that is not plain, or why it is no pickle.
    """
    try:
        return _Plain(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:
        # Unpickling what is no pickle raises nearly anything.
        raise ValueError(str(error).strip() or type(error).__name__) from error


# The unpickler in Python: its memo is a dictionary, where the one in C reserves room for any index that a
# file names; and single instructions can be refused.
class _Plain(pickle._Unpickler):
    stack: list[Any]

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as the base class
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no set of pictures needs; do not load it elsewhere"
            )
        return _ALLOWED[module, name]

    def persistent_load(self, pid: object) -> Any:  # noqa: ANN401 - as the base class
        raise pickle.UnpicklingError("it refers to something outside of itself")

    def restore(self) -> None:
        """The instruction BUILD, for the stand-ins alone: elsewhere it would set attributes of functions."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, PlainArray):
            target.content = _content_of(state)
        elif not isinstance(target, _Kind):
            raise pickle.UnpicklingError(f"it changes a {type(target).__name__}")

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: restore,
    }


def _content_of(state: object) -> bytes:
    # Version, shape, type, order, bytes.
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Kind):
        raise pickle.UnpicklingError("it holds an array of an unknown form")
    raw = state[4].encode("latin1") if isinstance(state[4], str) else state[4]
    if not isinstance(raw, bytes):
        raise pickle.UnpicklingError("it holds an array of objects")
    return raw


def _latin_bytes(text: str, encoding: str | bytes = "latin1") -> bytes:
    # How protocol 2 writes bytes.
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"it holds text in {encoding!r}")
    return text.encode("latin1")


def _kind(name: str | bytes, *_: object) -> _Kind:
    text = (name.decode("ascii") if isinstance(name, bytes) else name).lstrip("|")
    if text not in _ONE_BYTE:
        raise pickle.UnpicklingError(f"it holds an array of {text!r}")
    return _Kind(text)


def _empty_array(*_: object) -> PlainArray:
    return PlainArray()


def _array_of(buffer: bytes | bytearray, kind: _Kind, *_: object) -> PlainArray:
    # How protocol 5 writes arrays.
    if not isinstance(kind, _Kind):
        raise pickle.UnpicklingError("it holds an array of an unknown form")
    return PlainArray(bytes(buffer))


def _truth(kind: _Kind, content: bytes | str) -> bool:
    raw = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(kind, _Kind) or len(raw) != 1:
        raise pickle.UnpicklingError("it holds a number where a truth value belongs")
    return raw != b"\0"


def _never(*_: object) -> None:
    raise pickle.UnpicklingError("it makes an array in an unknown way")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _latin_bytes,
    ("numpy", "dtype"): _kind,
    # Only named as the class of an array that `_reconstruct` makes.
    ("numpy", "ndarray"): _never,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _empty_array),
            ("multiarray", "scalar", _truth),
            ("numeric", "_frombuffer", _array_of),
        )
    },
}
