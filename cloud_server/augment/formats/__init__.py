"""Datasets in and out: folders of classes, Parquet, WebDataset tars, NumPy arrays."""

from cloud_server.augment.formats.arrays import ArraySource
from cloud_server.augment.formats.codecs import CODECS, codec
from cloud_server.augment.formats.opening import FORMATS, open_sink, open_source
from cloud_server.augment.formats.sink import Sink
from cloud_server.augment.formats.splits import refuse_held_out

__all__ = [
    "CODECS",
    "FORMATS",
    "ArraySource",
    "Sink",
    "codec",
    "open_sink",
    "open_source",
    "refuse_held_out",
]
