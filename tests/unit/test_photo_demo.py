"""The photos that the project ships: what the README beside them promises."""

from __future__ import annotations

import pytest

from edge_client.photos import encode_photo, read_photo

# File, format, height and width, one channel or three.
SHIPPED = [
    ("astronaut.png", "PNG", (512, 512), False),
    ("admiral.jpg", "JPEG", (600, 512), False),
    ("grey.jpg", "JPEG", (600, 512), True),
    ("two.webp", "WEBP", (648, 1096), False),
]


@pytest.mark.parametrize(("name", "kind", "size", "grey"), SHIPPED)
def test_a_shipped_photo_is_what_the_readme_says(photos, name, kind, size, grey):
    photo = read_photo(photos / name)
    assert (photo.format, photo.size, photo.grey) == (kind, size, grey)
    again = read_photo(encode_photo(photo, photo.pixels))
    assert (again.format, again.size, again.grey) == (kind, size, grey)


def test_every_shipped_photo_has_its_origin_written_down(photos):
    text = (photos / "README.md").read_text()
    shipped = {path.name for path in photos.iterdir() if path.suffix in (".png", ".jpg", ".webp")}
    assert shipped == {row[0] for row in SHIPPED}
    assert all(f"`{name}`" in text for name in shipped)
    assert sum((photos / name).stat().st_size for name in shipped) < 3_000_000


def test_the_admiral_carries_what_protection_takes_away(photos):
    data = (photos / "admiral.jpg").read_bytes()
    photo = read_photo(photos / "admiral.jpg")
    out = encode_photo(photo, photo.pixels)
    assert b"SN-EXAMPLE-0001" in data
    assert b"SN-EXAMPLE-0001" not in out
    assert data.count(b"\xff\xd8\xff") == 2  # the photo and its thumbnail
    assert out.count(b"\xff\xd8\xff") == 1
    assert b"Example Phone 1" in out
