"""Generated protocol buffer code."""
from google.protobuf import descriptor as _descriptor
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import runtime_version as _runtime_version
from google.protobuf import symbol_database as _symbol_database
from google.protobuf.internal import builder as _builder
_runtime_version.ValidateProtobufRuntimeVersion(_runtime_version.Domain.PUBLIC, 6, 31, 1, '', 'goodnoise/v1/edge.proto')
_sym_db = _symbol_database.Default()
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x17goodnoise/v1/edge.proto\x12\x0cgoodnoise.v1"e\n\x0eProtectOptions\x12\x0e\n\x06budget\x18\x01 \x01(\t\x12\x0c\n\x04seed\x18\x02 \x01(\x04\x12\x1d\n\x15keep_private_metadata\x18\x03 \x01(\x08\x12\x16\n\x0estrip_metadata\x18\x04 \x01(\x08"\xad\x01\n\x0eProtectRequest\x12/\n\x07options\x18\x01 \x01(\x0b2\x1c.goodnoise.v1.ProtectOptionsH\x00\x12\x14\n\nphoto_part\x18\x02 \x01(\x0cH\x00\x12\x14\n\nalbum_part\x18\x03 \x01(\x0cH\x00\x126\n\x0falbum_photo_end\x18\x04 \x01(\x0b2\x1b.goodnoise.v1.AlbumPhotoEndH\x00B\x06\n\x04kind"\x0f\n\rAlbumPhotoEnd"6\n\x08Progress\x12\r\n\x05stage\x18\x01 \x01(\t\x12\x0c\n\x04done\x18\x02 \x01(\r\x12\r\n\x05total\x18\x03 \x01(\r"\x9f\x01\n\x10RecogniserResult\x12\x12\n\nrecogniser\x18\x01 \x01(\t\x12\x0c\n\x04role\x18\x02 \x01(\t\x12\x19\n\x11similarity_before\x18\x03 \x01(\x02\x12\x18\n\x10similarity_after\x18\x04 \x01(\x02\x12\x11\n\tthreshold\x18\x05 \x01(\x02\x12\x0e\n\x06target\x18\x06 \x01(\x02\x12\x11\n\tprotected\x18\x07 \x01(\x08"\xed\x01\n\nFaceResult\x12\x0b\n\x03box\x18\x01 \x03(\x05\x123\n\x0brecognisers\x18\x02 \x03(\x0b2\x1e.goodnoise.v1.RecogniserResult\x12\x0e\n\x06levels\x18\x03 \x01(\x02\x12\x0f\n\x07psnr_db\x18\x04 \x01(\x02\x12\x11\n\tprotected\x18\x05 \x01(\x08\x12\x15\n\rwithin_margin\x18\x06 \x01(\x08\x12\x0c\n\x04ssim\x18\x07 \x01(\x02\x12\x0e\n\x06budget\x18\x08 \x01(\t\x12\x0e\n\x06anchor\x18\t \x01(\t\x12\x0f\n\x07ms_ssim\x18\n \x01(\x02\x12\x13\n\x0bedge_change\x18\x0b \x01(\x02"\x9d\x01\n\rProtectReport\x12\'\n\x05faces\x18\x01 \x03(\x0b2\x18.goodnoise.v1.FaceResult\x12\x11\n\tprotected\x18\x02 \x01(\x08\x12\x0f\n\x07seconds\x18\x03 \x01(\x02\x12\x16\n\x0ebundle_version\x18\x04 \x01(\t\x12\x0e\n\x06format\x18\x05 \x01(\t\x12\x17\n\x0ffaces_too_small\x18\x06 \x01(\r"\x8a\x01\n\x0fProtectResponse\x12*\n\x08progress\x18\x01 \x01(\x0b2\x16.goodnoise.v1.ProgressH\x00\x12\x14\n\nphoto_part\x18\x02 \x01(\x0cH\x00\x12-\n\x06report\x18\x03 \x01(\x0b2\x1b.goodnoise.v1.ProtectReportH\x00B\x06\n\x04kind"\x97\x01\n\x0cCheckRequest\x12\x17\n\roriginal_part\x18\x01 \x01(\x0cH\x00\x12\x18\n\x0eprotected_part\x18\x02 \x01(\x0cH\x00\x12\x14\n\nalbum_part\x18\x03 \x01(\x0cH\x00\x126\n\x0falbum_photo_end\x18\x04 \x01(\x0b2\x1b.goodnoise.v1.AlbumPhotoEndH\x00B\x06\n\x04kind"c\n\rCheckResponse\x12\'\n\x05faces\x18\x01 \x03(\x0b2\x18.goodnoise.v1.FaceResult\x12\x11\n\tprotected\x18\x02 \x01(\x08\x12\x16\n\x0ebundle_version\x18\x03 \x01(\t"/\n\rUpdateRequest\x12\r\n\x05cloud\x18\x01 \x01(\t\x12\x0f\n\x07profile\x18\x02 \x01(\t"^\n\x0eUpdateResponse\x12*\n\x08progress\x18\x01 \x01(\x0b2\x16.goodnoise.v1.ProgressH\x00\x12\x18\n\x0ebundle_version\x18\x02 \x01(\tH\x00B\x06\n\x04kind2\xe4\x01\n\x0bEdgeService\x12J\n\x07Protect\x12\x1c.goodnoise.v1.ProtectRequest\x1a\x1d.goodnoise.v1.ProtectResponse(\x010\x01\x12B\n\x05Check\x12\x1a.goodnoise.v1.CheckRequest\x1a\x1b.goodnoise.v1.CheckResponse(\x01\x12E\n\x06Update\x12\x1b.goodnoise.v1.UpdateRequest\x1a\x1c.goodnoise.v1.UpdateResponse0\x01b\x06proto3')
_globals = globals()
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'goodnoise.v1.edge_pb2', _globals)
if not _descriptor._USE_C_DESCRIPTORS:
    DESCRIPTOR._loaded_options = None
    _globals['_PROTECTOPTIONS']._serialized_start = 41
    _globals['_PROTECTOPTIONS']._serialized_end = 142
    _globals['_PROTECTREQUEST']._serialized_start = 145
    _globals['_PROTECTREQUEST']._serialized_end = 318
    _globals['_ALBUMPHOTOEND']._serialized_start = 320
    _globals['_ALBUMPHOTOEND']._serialized_end = 335
    _globals['_PROGRESS']._serialized_start = 337
    _globals['_PROGRESS']._serialized_end = 391
    _globals['_RECOGNISERRESULT']._serialized_start = 394
    _globals['_RECOGNISERRESULT']._serialized_end = 553
    _globals['_FACERESULT']._serialized_start = 556
    _globals['_FACERESULT']._serialized_end = 793
    _globals['_PROTECTREPORT']._serialized_start = 796
    _globals['_PROTECTREPORT']._serialized_end = 953
    _globals['_PROTECTRESPONSE']._serialized_start = 956
    _globals['_PROTECTRESPONSE']._serialized_end = 1094
    _globals['_CHECKREQUEST']._serialized_start = 1097
    _globals['_CHECKREQUEST']._serialized_end = 1248
    _globals['_CHECKRESPONSE']._serialized_start = 1250
    _globals['_CHECKRESPONSE']._serialized_end = 1349
    _globals['_UPDATEREQUEST']._serialized_start = 1351
    _globals['_UPDATEREQUEST']._serialized_end = 1398
    _globals['_UPDATERESPONSE']._serialized_start = 1400
    _globals['_UPDATERESPONSE']._serialized_end = 1494
    _globals['_EDGESERVICE']._serialized_start = 1497
    _globals['_EDGESERVICE']._serialized_end = 1725