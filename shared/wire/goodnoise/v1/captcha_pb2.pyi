import datetime
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union
DESCRIPTOR: _descriptor.FileDescriptor

class CaptchaKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPTCHA_KIND_UNSPECIFIED: _ClassVar[CaptchaKind]
    CAPTCHA_KIND_IMAGE: _ClassVar[CaptchaKind]
    CAPTCHA_KIND_AUDIO: _ClassVar[CaptchaKind]
    CAPTCHA_KIND_WORK: _ClassVar[CaptchaKind]
CAPTCHA_KIND_UNSPECIFIED: CaptchaKind
CAPTCHA_KIND_IMAGE: CaptchaKind
CAPTCHA_KIND_AUDIO: CaptchaKind
CAPTCHA_KIND_WORK: CaptchaKind

class IssueRequest(_message.Message):
    __slots__ = ('site_key', 'kind', 'hostname', 'action', 'cdata', 'visitor_address', 'language')
    SITE_KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CDATA_FIELD_NUMBER: _ClassVar[int]
    VISITOR_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    site_key: str
    kind: CaptchaKind
    hostname: str
    action: str
    cdata: str
    visitor_address: str
    language: str

    def __init__(self, site_key: _Optional[str]=..., kind: _Optional[_Union[CaptchaKind, str]]=..., hostname: _Optional[str]=..., action: _Optional[str]=..., cdata: _Optional[str]=..., visitor_address: _Optional[str]=..., language: _Optional[str]=...) -> None:
        ...

class IssueResponse(_message.Message):
    __slots__ = ('challenge_id', 'kind', 'expire_time', 'answer_length', 'work')
    CHALLENGE_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    ANSWER_LENGTH_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    challenge_id: str
    kind: CaptchaKind
    expire_time: _timestamp_pb2.Timestamp
    answer_length: int
    work: ProofOfWork

    def __init__(self, challenge_id: _Optional[str]=..., kind: _Optional[_Union[CaptchaKind, str]]=..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]]=..., answer_length: _Optional[int]=..., work: _Optional[_Union[ProofOfWork, _Mapping]]=...) -> None:
        ...

class ProofOfWork(_message.Message):
    __slots__ = ('salt', 'bits')
    SALT_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    salt: str
    bits: int

    def __init__(self, salt: _Optional[str]=..., bits: _Optional[int]=...) -> None:
        ...

class GetImageRequest(_message.Message):
    __slots__ = ('challenge_id', 'visitor_address')
    CHALLENGE_ID_FIELD_NUMBER: _ClassVar[int]
    VISITOR_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    challenge_id: str
    visitor_address: str

    def __init__(self, challenge_id: _Optional[str]=..., visitor_address: _Optional[str]=...) -> None:
        ...

class GetImageResponse(_message.Message):
    __slots__ = ('content', 'media_type')
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    media_type: str

    def __init__(self, content: _Optional[bytes]=..., media_type: _Optional[str]=...) -> None:
        ...

class GetAudioRequest(_message.Message):
    __slots__ = ('challenge_id', 'visitor_address')
    CHALLENGE_ID_FIELD_NUMBER: _ClassVar[int]
    VISITOR_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    challenge_id: str
    visitor_address: str

    def __init__(self, challenge_id: _Optional[str]=..., visitor_address: _Optional[str]=...) -> None:
        ...

class GetAudioResponse(_message.Message):
    __slots__ = ('content', 'media_type')
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    media_type: str

    def __init__(self, content: _Optional[bytes]=..., media_type: _Optional[str]=...) -> None:
        ...

class AnswerRequest(_message.Message):
    __slots__ = ('challenge_id', 'answer', 'visitor_address')
    CHALLENGE_ID_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    VISITOR_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    challenge_id: str
    answer: str
    visitor_address: str

    def __init__(self, challenge_id: _Optional[str]=..., answer: _Optional[str]=..., visitor_address: _Optional[str]=...) -> None:
        ...

class AnswerResponse(_message.Message):
    __slots__ = ('right', 'token')
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    right: bool
    token: str

    def __init__(self, right: bool=..., token: _Optional[str]=...) -> None:
        ...

class VerifyRequest(_message.Message):
    __slots__ = ('token', 'visitor_address', 'idempotency_key')
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    VISITOR_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    token: str
    visitor_address: str
    idempotency_key: str

    def __init__(self, token: _Optional[str]=..., visitor_address: _Optional[str]=..., idempotency_key: _Optional[str]=...) -> None:
        ...

class VerifyResponse(_message.Message):
    __slots__ = ('success', 'challenge_time', 'hostname', 'action', 'cdata', 'error_codes')
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_TIME_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CDATA_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODES_FIELD_NUMBER: _ClassVar[int]
    success: bool
    challenge_time: _timestamp_pb2.Timestamp
    hostname: str
    action: str
    cdata: str
    error_codes: _containers.RepeatedScalarFieldContainer[str]

    def __init__(self, success: bool=..., challenge_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]]=..., hostname: _Optional[str]=..., action: _Optional[str]=..., cdata: _Optional[str]=..., error_codes: _Optional[_Iterable[str]]=...) -> None:
        ...

class GetReportRequest(_message.Message):
    __slots__ = ()

    def __init__(self) -> None:
        ...

class GetReportResponse(_message.Message):
    __slots__ = ('report',)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: bytes

    def __init__(self, report: _Optional[bytes]=...) -> None:
        ...

class Site(_message.Message):
    __slots__ = ('site_key', 'hostnames', 'work_allowed', 'disabled', 'create_time', 'name')
    SITE_KEY_FIELD_NUMBER: _ClassVar[int]
    HOSTNAMES_FIELD_NUMBER: _ClassVar[int]
    WORK_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    site_key: str
    hostnames: _containers.RepeatedScalarFieldContainer[str]
    work_allowed: bool
    disabled: bool
    create_time: _timestamp_pb2.Timestamp
    name: str

    def __init__(self, site_key: _Optional[str]=..., hostnames: _Optional[_Iterable[str]]=..., work_allowed: bool=..., disabled: bool=..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]]=..., name: _Optional[str]=...) -> None:
        ...

class CreateSiteRequest(_message.Message):
    __slots__ = ('name', 'hostnames', 'refuse_work')
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOSTNAMES_FIELD_NUMBER: _ClassVar[int]
    REFUSE_WORK_FIELD_NUMBER: _ClassVar[int]
    name: str
    hostnames: _containers.RepeatedScalarFieldContainer[str]
    refuse_work: bool

    def __init__(self, name: _Optional[str]=..., hostnames: _Optional[_Iterable[str]]=..., refuse_work: bool=...) -> None:
        ...

class CreateSiteResponse(_message.Message):
    __slots__ = ('site', 'secret')
    SITE_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    site: Site
    secret: str

    def __init__(self, site: _Optional[_Union[Site, _Mapping]]=..., secret: _Optional[str]=...) -> None:
        ...

class RotateSecretRequest(_message.Message):
    __slots__ = ('site_key',)
    SITE_KEY_FIELD_NUMBER: _ClassVar[int]
    site_key: str

    def __init__(self, site_key: _Optional[str]=...) -> None:
        ...

class RotateSecretResponse(_message.Message):
    __slots__ = ('secret',)
    SECRET_FIELD_NUMBER: _ClassVar[int]
    secret: str

    def __init__(self, secret: _Optional[str]=...) -> None:
        ...

class ListSitesRequest(_message.Message):
    __slots__ = ('page_size', 'page_token')
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str

    def __init__(self, page_size: _Optional[int]=..., page_token: _Optional[str]=...) -> None:
        ...

class ListSitesResponse(_message.Message):
    __slots__ = ('sites', 'next_page_token')
    SITES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sites: _containers.RepeatedCompositeFieldContainer[Site]
    next_page_token: str

    def __init__(self, sites: _Optional[_Iterable[_Union[Site, _Mapping]]]=..., next_page_token: _Optional[str]=...) -> None:
        ...

class DisableSiteRequest(_message.Message):
    __slots__ = ('site_key',)
    SITE_KEY_FIELD_NUMBER: _ClassVar[int]
    site_key: str

    def __init__(self, site_key: _Optional[str]=...) -> None:
        ...

class DisableSiteResponse(_message.Message):
    __slots__ = ()

    def __init__(self) -> None:
        ...

class EnableSiteRequest(_message.Message):
    __slots__ = ('site_key',)
    SITE_KEY_FIELD_NUMBER: _ClassVar[int]
    site_key: str

    def __init__(self, site_key: _Optional[str]=...) -> None:
        ...

class EnableSiteResponse(_message.Message):
    __slots__ = ()

    def __init__(self) -> None:
        ...

class DeleteSiteRequest(_message.Message):
    __slots__ = ('site_key',)
    SITE_KEY_FIELD_NUMBER: _ClassVar[int]
    site_key: str

    def __init__(self, site_key: _Optional[str]=...) -> None:
        ...

class DeleteSiteResponse(_message.Message):
    __slots__ = ()

    def __init__(self) -> None:
        ...

class GetPoolDepthRequest(_message.Message):
    __slots__ = ()

    def __init__(self) -> None:
        ...

class GetPoolDepthResponse(_message.Message):
    __slots__ = ('images',)
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: int

    def __init__(self, images: _Optional[int]=...) -> None:
        ...

class PublishReportRequest(_message.Message):
    __slots__ = ('report',)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: bytes

    def __init__(self, report: _Optional[bytes]=...) -> None:
        ...

class PublishReportResponse(_message.Message):
    __slots__ = ()

    def __init__(self) -> None:
        ...