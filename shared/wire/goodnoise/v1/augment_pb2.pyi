import datetime
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union
DESCRIPTOR: _descriptor.FileDescriptor

class AugmentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUGMENT_STATE_UNSPECIFIED: _ClassVar[AugmentState]
    AUGMENT_STATE_QUEUED: _ClassVar[AugmentState]
    AUGMENT_STATE_RUNNING: _ClassVar[AugmentState]
    AUGMENT_STATE_DONE: _ClassVar[AugmentState]
    AUGMENT_STATE_FAILED: _ClassVar[AugmentState]
    AUGMENT_STATE_CANCELLED: _ClassVar[AugmentState]
    AUGMENT_STATE_EXPIRED: _ClassVar[AugmentState]

class AugmentStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUGMENT_STAGE_UNSPECIFIED: _ClassVar[AugmentStage]
    AUGMENT_STAGE_SURROGATE: _ClassVar[AugmentStage]
    AUGMENT_STAGE_UNIVERSAL: _ClassVar[AugmentStage]
    AUGMENT_STAGE_SAMPLES: _ClassVar[AugmentStage]
AUGMENT_STATE_UNSPECIFIED: AugmentState
AUGMENT_STATE_QUEUED: AugmentState
AUGMENT_STATE_RUNNING: AugmentState
AUGMENT_STATE_DONE: AugmentState
AUGMENT_STATE_FAILED: AugmentState
AUGMENT_STATE_CANCELLED: AugmentState
AUGMENT_STATE_EXPIRED: AugmentState
AUGMENT_STAGE_UNSPECIFIED: AugmentStage
AUGMENT_STAGE_SURROGATE: AugmentStage
AUGMENT_STAGE_UNIVERSAL: AugmentStage
AUGMENT_STAGE_SAMPLES: AugmentStage

class AugmentProgress(_message.Message):
    __slots__ = ('stage', 'done', 'total', 'made', 'accepted')
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    stage: AugmentStage
    done: int
    total: int
    made: int
    accepted: int

    def __init__(self, stage: _Optional[_Union[AugmentStage, str]]=..., done: _Optional[int]=..., total: _Optional[int]=..., made: _Optional[int]=..., accepted: _Optional[int]=...) -> None:
        ...

class AugmentFailure(_message.Message):
    __slots__ = ('code', 'message')
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str

    def __init__(self, code: _Optional[str]=..., message: _Optional[str]=...) -> None:
        ...

class AugmentJob(_message.Message):
    __slots__ = ('job_id', 'key', 'state', 'revision', 'recipe', 'dataset', 'images', 'progress', 'failure', 'crashes', 'waiting_before', 'create_time', 'start_time', 'end_time', 'expire_time', 'result_files', 'result_bytes')
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CRASHES_FIELD_NUMBER: _ClassVar[int]
    WAITING_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    RESULT_FILES_FIELD_NUMBER: _ClassVar[int]
    RESULT_BYTES_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    key: str
    state: AugmentState
    revision: int
    recipe: str
    dataset: str
    images: int
    progress: AugmentProgress
    failure: AugmentFailure
    crashes: int
    waiting_before: int
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    result_files: int
    result_bytes: int

    def __init__(self, job_id: _Optional[str]=..., key: _Optional[str]=..., state: _Optional[_Union[AugmentState, str]]=..., revision: _Optional[int]=..., recipe: _Optional[str]=..., dataset: _Optional[str]=..., images: _Optional[int]=..., progress: _Optional[_Union[AugmentProgress, _Mapping]]=..., failure: _Optional[_Union[AugmentFailure, _Mapping]]=..., crashes: _Optional[int]=..., waiting_before: _Optional[int]=..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]]=..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]]=..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]]=..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]]=..., result_files: _Optional[int]=..., result_bytes: _Optional[int]=...) -> None:
        ...

class AugmentOrder(_message.Message):
    __slots__ = ('key', 'recipe', 'dataset', 'images', 'include_originals')
    KEY_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ORIGINALS_FIELD_NUMBER: _ClassVar[int]
    key: str
    recipe: str
    dataset: str
    images: int
    include_originals: bool

    def __init__(self, key: _Optional[str]=..., recipe: _Optional[str]=..., dataset: _Optional[str]=..., images: _Optional[int]=..., include_originals: bool=...) -> None:
        ...

class AugmentImage(_message.Message):
    __slots__ = ('content', 'label', 'group', 'name')
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    label: str
    group: str
    name: str

    def __init__(self, content: _Optional[bytes]=..., label: _Optional[str]=..., group: _Optional[str]=..., name: _Optional[str]=...) -> None:
        ...

class SubmitJobRequest(_message.Message):
    __slots__ = ('order', 'image')
    ORDER_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    order: AugmentOrder
    image: AugmentImage

    def __init__(self, order: _Optional[_Union[AugmentOrder, _Mapping]]=..., image: _Optional[_Union[AugmentImage, _Mapping]]=...) -> None:
        ...

class SubmitJobResponse(_message.Message):
    __slots__ = ('job', 'repeated_call')
    JOB_FIELD_NUMBER: _ClassVar[int]
    REPEATED_CALL_FIELD_NUMBER: _ClassVar[int]
    job: AugmentJob
    repeated_call: bool

    def __init__(self, job: _Optional[_Union[AugmentJob, _Mapping]]=..., repeated_call: bool=...) -> None:
        ...

class GetJobRequest(_message.Message):
    __slots__ = ('job_id',)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str

    def __init__(self, job_id: _Optional[str]=...) -> None:
        ...

class GetJobResponse(_message.Message):
    __slots__ = ('job',)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: AugmentJob

    def __init__(self, job: _Optional[_Union[AugmentJob, _Mapping]]=...) -> None:
        ...

class ListJobsRequest(_message.Message):
    __slots__ = ('page_size', 'page_token')
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str

    def __init__(self, page_size: _Optional[int]=..., page_token: _Optional[str]=...) -> None:
        ...

class ListJobsResponse(_message.Message):
    __slots__ = ('jobs', 'next_page_token')
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[AugmentJob]
    next_page_token: str

    def __init__(self, jobs: _Optional[_Iterable[_Union[AugmentJob, _Mapping]]]=..., next_page_token: _Optional[str]=...) -> None:
        ...

class WatchJobRequest(_message.Message):
    __slots__ = ('job_id', 'after_revision')
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_revision: int

    def __init__(self, job_id: _Optional[str]=..., after_revision: _Optional[int]=...) -> None:
        ...

class WatchJobResponse(_message.Message):
    __slots__ = ('job',)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: AugmentJob

    def __init__(self, job: _Optional[_Union[AugmentJob, _Mapping]]=...) -> None:
        ...

class CancelJobRequest(_message.Message):
    __slots__ = ('job_id',)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str

    def __init__(self, job_id: _Optional[str]=...) -> None:
        ...

class CancelJobResponse(_message.Message):
    __slots__ = ('job',)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: AugmentJob

    def __init__(self, job: _Optional[_Union[AugmentJob, _Mapping]]=...) -> None:
        ...

class DeleteJobRequest(_message.Message):
    __slots__ = ('job_id',)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str

    def __init__(self, job_id: _Optional[str]=...) -> None:
        ...

class DeleteJobResponse(_message.Message):
    __slots__ = ()

    def __init__(self) -> None:
        ...

class AugmentFile(_message.Message):
    __slots__ = ('number', 'name', 'size', 'sha256')
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    number: int
    name: str
    size: int
    sha256: bytes

    def __init__(self, number: _Optional[int]=..., name: _Optional[str]=..., size: _Optional[int]=..., sha256: _Optional[bytes]=...) -> None:
        ...

class ListResultsRequest(_message.Message):
    __slots__ = ('job_id', 'page_size', 'page_token')
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    page_size: int
    page_token: str

    def __init__(self, job_id: _Optional[str]=..., page_size: _Optional[int]=..., page_token: _Optional[str]=...) -> None:
        ...

class ListResultsResponse(_message.Message):
    __slots__ = ('files', 'next_page_token')
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[AugmentFile]
    next_page_token: str

    def __init__(self, files: _Optional[_Iterable[_Union[AugmentFile, _Mapping]]]=..., next_page_token: _Optional[str]=...) -> None:
        ...

class FetchResultsRequest(_message.Message):
    __slots__ = ('job_id', 'file', 'offset', 'files')
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    file: int
    offset: int
    files: int

    def __init__(self, job_id: _Optional[str]=..., file: _Optional[int]=..., offset: _Optional[int]=..., files: _Optional[int]=...) -> None:
        ...

class FetchResultsResponse(_message.Message):
    __slots__ = ('file', 'offset', 'part')
    FILE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    file: int
    offset: int
    part: bytes

    def __init__(self, file: _Optional[int]=..., offset: _Optional[int]=..., part: _Optional[bytes]=...) -> None:
        ...