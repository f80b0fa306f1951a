from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union
DESCRIPTOR: _descriptor.FileDescriptor

class ProtectOptions(_message.Message):
    __slots__ = ('budget', 'seed', 'keep_private_metadata', 'strip_metadata')
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    KEEP_PRIVATE_METADATA_FIELD_NUMBER: _ClassVar[int]
    STRIP_METADATA_FIELD_NUMBER: _ClassVar[int]
    budget: str
    seed: int
    keep_private_metadata: bool
    strip_metadata: bool

    def __init__(self, budget: _Optional[str]=..., seed: _Optional[int]=..., keep_private_metadata: bool=..., strip_metadata: bool=...) -> None:
        ...

class ProtectRequest(_message.Message):
    __slots__ = ('options', 'photo_part', 'album_part', 'album_photo_end')
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PHOTO_PART_FIELD_NUMBER: _ClassVar[int]
    ALBUM_PART_FIELD_NUMBER: _ClassVar[int]
    ALBUM_PHOTO_END_FIELD_NUMBER: _ClassVar[int]
    options: ProtectOptions
    photo_part: bytes
    album_part: bytes
    album_photo_end: AlbumPhotoEnd

    def __init__(self, options: _Optional[_Union[ProtectOptions, _Mapping]]=..., photo_part: _Optional[bytes]=..., album_part: _Optional[bytes]=..., album_photo_end: _Optional[_Union[AlbumPhotoEnd, _Mapping]]=...) -> None:
        ...

class AlbumPhotoEnd(_message.Message):
    __slots__ = ()

    def __init__(self) -> None:
        ...

class Progress(_message.Message):
    __slots__ = ('stage', 'done', 'total')
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    stage: str
    done: int
    total: int

    def __init__(self, stage: _Optional[str]=..., done: _Optional[int]=..., total: _Optional[int]=...) -> None:
        ...

class RecogniserResult(_message.Message):
    __slots__ = ('recogniser', 'role', 'similarity_before', 'similarity_after', 'threshold', 'target', 'protected')
    RECOGNISER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_AFTER_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_FIELD_NUMBER: _ClassVar[int]
    recogniser: str
    role: str
    similarity_before: float
    similarity_after: float
    threshold: float
    target: float
    protected: bool

    def __init__(self, recogniser: _Optional[str]=..., role: _Optional[str]=..., similarity_before: _Optional[float]=..., similarity_after: _Optional[float]=..., threshold: _Optional[float]=..., target: _Optional[float]=..., protected: bool=...) -> None:
        ...

class FaceResult(_message.Message):
    __slots__ = ('box', 'recognisers', 'levels', 'psnr_db', 'protected', 'within_margin', 'ssim', 'budget', 'anchor', 'ms_ssim', 'edge_change')
    BOX_FIELD_NUMBER: _ClassVar[int]
    RECOGNISERS_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    PSNR_DB_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_FIELD_NUMBER: _ClassVar[int]
    WITHIN_MARGIN_FIELD_NUMBER: _ClassVar[int]
    SSIM_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    MS_SSIM_FIELD_NUMBER: _ClassVar[int]
    EDGE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    box: _containers.RepeatedScalarFieldContainer[int]
    recognisers: _containers.RepeatedCompositeFieldContainer[RecogniserResult]
    levels: float
    psnr_db: float
    protected: bool
    within_margin: bool
    ssim: float
    budget: str
    anchor: str
    ms_ssim: float
    edge_change: float

    def __init__(self, box: _Optional[_Iterable[int]]=..., recognisers: _Optional[_Iterable[_Union[RecogniserResult, _Mapping]]]=..., levels: _Optional[float]=..., psnr_db: _Optional[float]=..., protected: bool=..., within_margin: bool=..., ssim: _Optional[float]=..., budget: _Optional[str]=..., anchor: _Optional[str]=..., ms_ssim: _Optional[float]=..., edge_change: _Optional[float]=...) -> None:
        ...

class ProtectReport(_message.Message):
    __slots__ = ('faces', 'protected', 'seconds', 'bundle_version', 'format', 'faces_too_small')
    FACES_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FACES_TOO_SMALL_FIELD_NUMBER: _ClassVar[int]
    faces: _containers.RepeatedCompositeFieldContainer[FaceResult]
    protected: bool
    seconds: float
    bundle_version: str
    format: str
    faces_too_small: int

    def __init__(self, faces: _Optional[_Iterable[_Union[FaceResult, _Mapping]]]=..., protected: bool=..., seconds: _Optional[float]=..., bundle_version: _Optional[str]=..., format: _Optional[str]=..., faces_too_small: _Optional[int]=...) -> None:
        ...

class ProtectResponse(_message.Message):
    __slots__ = ('progress', 'photo_part', 'report')
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PHOTO_PART_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    photo_part: bytes
    report: ProtectReport

    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]]=..., photo_part: _Optional[bytes]=..., report: _Optional[_Union[ProtectReport, _Mapping]]=...) -> None:
        ...

class CheckRequest(_message.Message):
    __slots__ = ('original_part', 'protected_part', 'album_part', 'album_photo_end')
    ORIGINAL_PART_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_PART_FIELD_NUMBER: _ClassVar[int]
    ALBUM_PART_FIELD_NUMBER: _ClassVar[int]
    ALBUM_PHOTO_END_FIELD_NUMBER: _ClassVar[int]
    original_part: bytes
    protected_part: bytes
    album_part: bytes
    album_photo_end: AlbumPhotoEnd

    def __init__(self, original_part: _Optional[bytes]=..., protected_part: _Optional[bytes]=..., album_part: _Optional[bytes]=..., album_photo_end: _Optional[_Union[AlbumPhotoEnd, _Mapping]]=...) -> None:
        ...

class CheckResponse(_message.Message):
    __slots__ = ('faces', 'protected', 'bundle_version')
    FACES_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    faces: _containers.RepeatedCompositeFieldContainer[FaceResult]
    protected: bool
    bundle_version: str

    def __init__(self, faces: _Optional[_Iterable[_Union[FaceResult, _Mapping]]]=..., protected: bool=..., bundle_version: _Optional[str]=...) -> None:
        ...

class UpdateRequest(_message.Message):
    __slots__ = ('cloud', 'profile')
    CLOUD_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    cloud: str
    profile: str

    def __init__(self, cloud: _Optional[str]=..., profile: _Optional[str]=...) -> None:
        ...

class UpdateResponse(_message.Message):
    __slots__ = ('progress', 'bundle_version')
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    bundle_version: str

    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]]=..., bundle_version: _Optional[str]=...) -> None:
        ...