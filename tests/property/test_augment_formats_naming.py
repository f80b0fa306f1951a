"""Names that go into an output, and bytes that come from strangers."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cloud_server.augment.formats.originals import safe
from cloud_server.augment.formats.pictures import checked_name, decode
from shared.errors import Code, GoodnoiseError

NAMES = st.text(max_size=300) | st.text("./\\ a:\n\0", max_size=12)


@given(name=NAMES)
def test_a_safe_name_is_one_part_of_a_path(name):
    found = safe(name)
    assert found not in {"", ".", ".."}
    assert not set(found) & set('/\\:*?"<>|\n\0')
    assert not found.startswith((".", " "))
    assert len(found.encode()) <= 200


@given(names=st.lists(NAMES, min_size=2, max_size=12, unique=True))
def test_two_names_never_become_one(names):
    assert len({safe(name) for name in names}) == len(names)


@given(name=st.from_regex(r"[\w()+=-]{1,20}\.(png|jpg)", fullmatch=True))
def test_plain_names_stay_as_they_are(name):
    assert safe(name) == name


@given(name=NAMES)
def test_a_checked_name_stays_below_its_root(tmp_path_factory, name):
    root = tmp_path_factory.getbasetemp()
    try:
        inside = (root / checked_name(name)).resolve()
    except GoodnoiseError as error:
        assert error.code is Code.INVALID_INPUT  # noqa: PT017 - the other outcome is as right
        return
    assert inside.is_relative_to(root.resolve())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
@given(changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6))
@pytest.mark.filterwarnings("ignore")
def test_changed_bytes_are_a_picture_or_an_error_that_names_it(kind, changes):
    file = io.BytesIO()
    Image.fromarray(np.arange(360, dtype=np.uint8).reshape(12, 10, 3)).save(file, kind)
    data = bytearray(file.getvalue())
    for place, value in changes:
        data[place % len(data)] = value
    try:
        picture = decode(bytes(data), "it")
    except GoodnoiseError as error:
        assert error.message.startswith("it ")  # noqa: PT017 - as above
    else:
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
