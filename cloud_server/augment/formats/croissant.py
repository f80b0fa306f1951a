"""The description of an output in Croissant 1.0 (mlcommons.org/croissant): what it is and derives from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_server.augment.formats.originals import COLUMNS
from shared.files import sha256_of_file

if TYPE_CHECKING:
    from cloud_server.augment.formats.sink import Sink

__all__ = ["describe"]

_TERMS = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_NO_LICENCE = "The licence of the original dataset holds for samples derived from it"
_MEDIA = {".csv": "text/csv", ".parquet": "application/x-parquet", ".tar": "application/x-tar"}


def describe(sink: Sink, summary: Mapping[str, Any], files: Sequence[Path], *, parents: str) -> str:
    """The JSON-LD of an output.

    Args:
        sink: the output, with metadata.csv written.
        summary: of the run: recipe, surrogate, counts.
        files: data files below it that are named one by one.
        parents: SHA-256 over the digests of all parents of samples.
    """
    said = {
        "@context": _TERMS,
        "@type": "sc:Dataset",
        "name": f"{sink.root.name}",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "description": _text(sink, summary),
        "license": sink.origin.licence or _NO_LICENCE,
        "isBasedOn": _based_on(sink, parents),
        "rai:dataCollectionType": ["Synthetic data", "Derived from existing datasets"],
        "rai:dataManipulationProtocol": [_protocol(summary)],
        "rai:dataUseCases": ["Training of image classifiers, beside the original images"],
        "rai:dataLimitations": ["Labels of samples are not what people see: not for evaluation"],
        "distribution": [_file(sink.root, sink.root / sink.metadata), *(_file(sink.root, f) for f in files)],
        "recordSet": [_records(sink)],
    }
    return json.dumps(said, indent=1, sort_keys=True) + "\n"


def _text(sink: Sink, summary: Mapping[str, Any]) -> str:
    kept = "beside the originals, whose bytes are unchanged" if sink.copies else "without the originals"
    return (
        f"Synthetic images derived by adversarial perturbation: {summary.get('made', 0)} samples {kept}. "
        "Samples look like their parents' classes to people and carry other labels; do not evaluate on them. "
        "Every row of metadata.csv names its parent, labels, recipe, surrogate, size, confidence and SHA-256."
    )


def _based_on(sink: Sink, parents: str) -> str:
    source = sink.source
    return (
        f"{sink.origin.dataset or 'a dataset without a name'}: {len(source)} images of "
        f"{len(source.classes)} classes, split {sink.split}; SHA-256 over the lines of parent_sha256 in "
        f"metadata.csv: {parents}"
    )


def _protocol(summary: Mapping[str, Any]) -> str:
    names = ("recipe", "budget", "encoding", "seed", "surrogate_sha256", "asked", "made", "accepted")
    return "; ".join(f"{name}: {summary[name]}" for name in names if name in summary)


def _file(root: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(root).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": _MEDIA.get(path.suffix, "application/octet-stream"),
        "sha256": sha256_of_file(path),
    }


def _records(sink: Sink) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "description": "One row an image; `kind` says what it is, `original` for what was there before.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"images/{column}",
                "name": f"images/{column}",
                "dataType": "sc:Text",
                "source": {"fileObject": {"@id": sink.metadata}, "extract": {"column": column}},
            }
            for column in COLUMNS
        ],
    }
