from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union
DESCRIPTOR: _descriptor.FileDescriptor

class CatalogueRequest(_message.Message):
    __slots__ = ('bundle_version',)
    BUNDLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    bundle_version: str

    def __init__(self, bundle_version: _Optional[str]=...) -> None:
        ...

class CatalogueResponse(_message.Message):
    __slots__ = ('bundle_version', 'hints')
    BUNDLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    bundle_version: str
    hints: _containers.RepeatedCompositeFieldContainer[HintEntry]

    def __init__(self, bundle_version: _Optional[str]=..., hints: _Optional[_Iterable[_Union[HintEntry, _Mapping]]]=...) -> None:
        ...

class HintEntry(_message.Message):
    __slots__ = ('name', 'size', 'sha256')
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    size: int
    sha256: bytes

    def __init__(self, name: _Optional[str]=..., size: _Optional[int]=..., sha256: _Optional[bytes]=...) -> None:
        ...

class ClusterRequest(_message.Message):
    __slots__ = ('cluster',)
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    cluster: int

    def __init__(self, cluster: _Optional[int]=...) -> None:
        ...

class ClusterResponse(_message.Message):
    __slots__ = ('perturbation', 'bundle_version')
    PERTURBATION_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    perturbation: bytes
    bundle_version: str

    def __init__(self, perturbation: _Optional[bytes]=..., bundle_version: _Optional[str]=...) -> None:
        ...

class SketchRequest(_message.Message):
    __slots__ = ('bits',)
    BITS_FIELD_NUMBER: _ClassVar[int]
    bits: bytes

    def __init__(self, bits: _Optional[bytes]=...) -> None:
        ...

class SketchResponse(_message.Message):
    __slots__ = ('direction',)
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    direction: bytes

    def __init__(self, direction: _Optional[bytes]=...) -> None:
        ...

class SignRequest(_message.Message):
    __slots__ = ('signs',)
    SIGNS_FIELD_NUMBER: _ClassVar[int]
    signs: bytes

    def __init__(self, signs: _Optional[bytes]=...) -> None:
        ...

class SignResponse(_message.Message):
    __slots__ = ('direction',)
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    direction: bytes

    def __init__(self, direction: _Optional[bytes]=...) -> None:
        ...