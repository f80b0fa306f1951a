"""Generated protocol buffer code."""
from google.protobuf import descriptor as _descriptor
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import runtime_version as _runtime_version
from google.protobuf import symbol_database as _symbol_database
from google.protobuf.internal import builder as _builder
_runtime_version.ValidateProtobufRuntimeVersion(_runtime_version.Domain.PUBLIC, 6, 31, 1, '', 'goodnoise/v1/hint.proto')
_sym_db = _symbol_database.Default()
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x17goodnoise/v1/hint.proto\x12\x0cgoodnoise.v1"*\n\x10CatalogueRequest\x12\x16\n\x0ebundle_version\x18\x01 \x01(\t"S\n\x11CatalogueResponse\x12\x16\n\x0ebundle_version\x18\x01 \x01(\t\x12&\n\x05hints\x18\x02 \x03(\x0b2\x17.goodnoise.v1.HintEntry"7\n\tHintEntry\x12\x0c\n\x04name\x18\x01 \x01(\t\x12\x0c\n\x04size\x18\x02 \x01(\x04\x12\x0e\n\x06sha256\x18\x03 \x01(\x0c"!\n\x0eClusterRequest\x12\x0f\n\x07cluster\x18\x01 \x01(\r"?\n\x0fClusterResponse\x12\x14\n\x0cperturbation\x18\x01 \x01(\x0c\x12\x16\n\x0ebundle_version\x18\x02 \x01(\t"\x1d\n\rSketchRequest\x12\x0c\n\x04bits\x18\x01 \x01(\x0c"#\n\x0eSketchResponse\x12\x11\n\tdirection\x18\x01 \x01(\x0c"\x1c\n\x0bSignRequest\x12\r\n\x05signs\x18\x01 \x01(\x0c"!\n\x0cSignResponse\x12\x11\n\tdirection\x18\x01 \x01(\x0c2\xa7\x02\n\x0bHintService\x12L\n\tCatalogue\x12\x1e.goodnoise.v1.CatalogueRequest\x1a\x1f.goodnoise.v1.CatalogueResponse\x12F\n\x07Cluster\x12\x1c.goodnoise.v1.ClusterRequest\x1a\x1d.goodnoise.v1.ClusterResponse\x12C\n\x06Sketch\x12\x1b.goodnoise.v1.SketchRequest\x1a\x1c.goodnoise.v1.SketchResponse\x12=\n\x04Sign\x12\x19.goodnoise.v1.SignRequest\x1a\x1a.goodnoise.v1.SignResponseb\x06proto3')
_globals = globals()
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'goodnoise.v1.hint_pb2', _globals)
if not _descriptor._USE_C_DESCRIPTORS:
    DESCRIPTOR._loaded_options = None
    _globals['_CATALOGUEREQUEST']._serialized_start = 41
    _globals['_CATALOGUEREQUEST']._serialized_end = 83
    _globals['_CATALOGUERESPONSE']._serialized_start = 85
    _globals['_CATALOGUERESPONSE']._serialized_end = 168
    _globals['_HINTENTRY']._serialized_start = 170
    _globals['_HINTENTRY']._serialized_end = 225
    _globals['_CLUSTERREQUEST']._serialized_start = 227
    _globals['_CLUSTERREQUEST']._serialized_end = 260
    _globals['_CLUSTERRESPONSE']._serialized_start = 262
    _globals['_CLUSTERRESPONSE']._serialized_end = 325
    _globals['_SKETCHREQUEST']._serialized_start = 327
    _globals['_SKETCHREQUEST']._serialized_end = 356
    _globals['_SKETCHRESPONSE']._serialized_start = 358
    _globals['_SKETCHRESPONSE']._serialized_end = 393
    _globals['_SIGNREQUEST']._serialized_start = 395
    _globals['_SIGNREQUEST']._serialized_end = 423
    _globals['_SIGNRESPONSE']._serialized_start = 425
    _globals['_SIGNRESPONSE']._serialized_end = 458
    _globals['_HINTSERVICE']._serialized_start = 461
    _globals['_HINTSERVICE']._serialized_end = 756