"""Reading and writing users' photos: same format, same quality class, less metadata, whole files or none."""

from edge_client.photos.encode import encode_photo
from edge_client.photos.files import SUFFIXES, output_path, write_atomic
from edge_client.photos.metadata import MetadataPolicy, clean_exif
from edge_client.photos.photo import Format, Photo
from edge_client.photos.read import MAX_PIXELS, read_content, read_photo
from shared.recompress import recompress

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "Format",
    "MetadataPolicy",
    "Photo",
    "clean_exif",
    "encode_photo",
    "output_path",
    "read_content",
    "read_photo",
    "recompress",
    "write_atomic",
]
