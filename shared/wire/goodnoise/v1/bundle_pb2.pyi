from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional
DESCRIPTOR: _descriptor.FileDescriptor

class GetMetadataRequest(_message.Message):
    __slots__ = ('name', 'profile')
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    name: str
    profile: str

    def __init__(self, name: _Optional[str]=..., profile: _Optional[str]=...) -> None:
        ...

class GetMetadataResponse(_message.Message):
    __slots__ = ('content',)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: bytes

    def __init__(self, content: _Optional[bytes]=...) -> None:
        ...

class FetchObjectRequest(_message.Message):
    __slots__ = ('sha256', 'offset')
    SHA256_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    sha256: bytes
    offset: int

    def __init__(self, sha256: _Optional[bytes]=..., offset: _Optional[int]=...) -> None:
        ...

class FetchObjectResponse(_message.Message):
    __slots__ = ('part', 'total_size')
    PART_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    part: bytes
    total_size: int

    def __init__(self, part: _Optional[bytes]=..., total_size: _Optional[int]=...) -> None:
        ...