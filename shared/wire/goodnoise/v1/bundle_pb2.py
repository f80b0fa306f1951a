"""Generated protocol buffer code."""
from google.protobuf import descriptor as _descriptor
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import runtime_version as _runtime_version
from google.protobuf import symbol_database as _symbol_database
from google.protobuf.internal import builder as _builder
_runtime_version.ValidateProtobufRuntimeVersion(_runtime_version.Domain.PUBLIC, 6, 31, 1, '', 'goodnoise/v1/bundle.proto')
_sym_db = _symbol_database.Default()
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x19goodnoise/v1/bundle.proto\x12\x0cgoodnoise.v1"3\n\x12GetMetadataRequest\x12\x0c\n\x04name\x18\x01 \x01(\t\x12\x0f\n\x07profile\x18\x02 \x01(\t"&\n\x13GetMetadataResponse\x12\x0f\n\x07content\x18\x01 \x01(\x0c"4\n\x12FetchObjectRequest\x12\x0e\n\x06sha256\x18\x01 \x01(\x0c\x12\x0e\n\x06offset\x18\x02 \x01(\x04"7\n\x13FetchObjectResponse\x12\x0c\n\x04part\x18\x01 \x01(\x0c\x12\x12\n\ntotal_size\x18\x02 \x01(\x042\xb9\x01\n\rBundleService\x12R\n\x0bGetMetadata\x12 .goodnoise.v1.GetMetadataRequest\x1a!.goodnoise.v1.GetMetadataResponse\x12T\n\x0bFetchObject\x12 .goodnoise.v1.FetchObjectRequest\x1a!.goodnoise.v1.FetchObjectResponse0\x01b\x06proto3')
_globals = globals()
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'goodnoise.v1.bundle_pb2', _globals)
if not _descriptor._USE_C_DESCRIPTORS:
    DESCRIPTOR._loaded_options = None
    _globals['_GETMETADATAREQUEST']._serialized_start = 43
    _globals['_GETMETADATAREQUEST']._serialized_end = 94
    _globals['_GETMETADATARESPONSE']._serialized_start = 96
    _globals['_GETMETADATARESPONSE']._serialized_end = 134
    _globals['_FETCHOBJECTREQUEST']._serialized_start = 136
    _globals['_FETCHOBJECTREQUEST']._serialized_end = 188
    _globals['_FETCHOBJECTRESPONSE']._serialized_start = 190
    _globals['_FETCHOBJECTRESPONSE']._serialized_end = 245
    _globals['_BUNDLESERVICE']._serialized_start = 248
    _globals['_BUNDLESERVICE']._serialized_end = 433