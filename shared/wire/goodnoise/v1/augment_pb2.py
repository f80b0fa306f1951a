"""Generated protocol buffer code."""
from google.protobuf import descriptor as _descriptor
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import runtime_version as _runtime_version
from google.protobuf import symbol_database as _symbol_database
from google.protobuf.internal import builder as _builder
_runtime_version.ValidateProtobufRuntimeVersion(_runtime_version.Domain.PUBLIC, 6, 31, 1, '', 'goodnoise/v1/augment.proto')
_sym_db = _symbol_database.Default()
from google.protobuf import timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x1agoodnoise/v1/augment.proto\x12\x0cgoodnoise.v1\x1a\x1fgoogle/protobuf/timestamp.proto"y\n\x0fAugmentProgress\x12)\n\x05stage\x18\x01 \x01(\x0e2\x1a.goodnoise.v1.AugmentStage\x12\x0c\n\x04done\x18\x02 \x01(\x04\x12\r\n\x05total\x18\x03 \x01(\x04\x12\x0c\n\x04made\x18\x04 \x01(\x04\x12\x10\n\x08accepted\x18\x05 \x01(\x04"/\n\x0eAugmentFailure\x12\x0c\n\x04code\x18\x01 \x01(\t\x12\x0f\n\x07message\x18\x02 \x01(\t"\x8c\x04\n\nAugmentJob\x12\x0e\n\x06job_id\x18\x01 \x01(\t\x12\x0b\n\x03key\x18\x02 \x01(\t\x12)\n\x05state\x18\x03 \x01(\x0e2\x1a.goodnoise.v1.AugmentState\x12\x10\n\x08revision\x18\x04 \x01(\x04\x12\x0e\n\x06recipe\x18\x05 \x01(\t\x12\x0f\n\x07dataset\x18\x06 \x01(\t\x12\x0e\n\x06images\x18\x07 \x01(\r\x12/\n\x08progress\x18\x08 \x01(\x0b2\x1d.goodnoise.v1.AugmentProgress\x12-\n\x07failure\x18\t \x01(\x0b2\x1c.goodnoise.v1.AugmentFailure\x12\x0f\n\x07crashes\x18\n \x01(\r\x12\x16\n\x0ewaiting_before\x18\x0b \x01(\r\x12/\n\x0bcreate_time\x18\x0c \x01(\x0b2\x1a.google.protobuf.Timestamp\x12.\n\nstart_time\x18\r \x01(\x0b2\x1a.google.protobuf.Timestamp\x12,\n\x08end_time\x18\x0e \x01(\x0b2\x1a.google.protobuf.Timestamp\x12/\n\x0bexpire_time\x18\x0f \x01(\x0b2\x1a.google.protobuf.Timestamp\x12\x14\n\x0cresult_files\x18\x10 \x01(\x04\x12\x14\n\x0cresult_bytes\x18\x11 \x01(\x04"g\n\x0cAugmentOrder\x12\x0b\n\x03key\x18\x01 \x01(\t\x12\x0e\n\x06recipe\x18\x02 \x01(\t\x12\x0f\n\x07dataset\x18\x03 \x01(\t\x12\x0e\n\x06images\x18\x04 \x01(\r\x12\x19\n\x11include_originals\x18\x05 \x01(\x08"K\n\x0cAugmentImage\x12\x0f\n\x07content\x18\x01 \x01(\x0c\x12\r\n\x05label\x18\x02 \x01(\t\x12\r\n\x05group\x18\x03 \x01(\t\x12\x0c\n\x04name\x18\x04 \x01(\t"t\n\x10SubmitJobRequest\x12+\n\x05order\x18\x01 \x01(\x0b2\x1a.goodnoise.v1.AugmentOrderH\x00\x12+\n\x05image\x18\x02 \x01(\x0b2\x1a.goodnoise.v1.AugmentImageH\x00B\x06\n\x04part"Q\n\x11SubmitJobResponse\x12%\n\x03job\x18\x01 \x01(\x0b2\x18.goodnoise.v1.AugmentJob\x12\x15\n\rrepeated_call\x18\x02 \x01(\x08"\x1f\n\rGetJobRequest\x12\x0e\n\x06job_id\x18\x01 \x01(\t"7\n\x0eGetJobResponse\x12%\n\x03job\x18\x01 \x01(\x0b2\x18.goodnoise.v1.AugmentJob"8\n\x0fListJobsRequest\x12\x11\n\tpage_size\x18\x01 \x01(\r\x12\x12\n\npage_token\x18\x02 \x01(\t"S\n\x10ListJobsResponse\x12&\n\x04jobs\x18\x01 \x03(\x0b2\x18.goodnoise.v1.AugmentJob\x12\x17\n\x0fnext_page_token\x18\x02 \x01(\t"9\n\x0fWatchJobRequest\x12\x0e\n\x06job_id\x18\x01 \x01(\t\x12\x16\n\x0eafter_revision\x18\x02 \x01(\x04"9\n\x10WatchJobResponse\x12%\n\x03job\x18\x01 \x01(\x0b2\x18.goodnoise.v1.AugmentJob""\n\x10CancelJobRequest\x12\x0e\n\x06job_id\x18\x01 \x01(\t":\n\x11CancelJobResponse\x12%\n\x03job\x18\x01 \x01(\x0b2\x18.goodnoise.v1.AugmentJob""\n\x10DeleteJobRequest\x12\x0e\n\x06job_id\x18\x01 \x01(\t"\x13\n\x11DeleteJobResponse"I\n\x0bAugmentFile\x12\x0e\n\x06number\x18\x01 \x01(\x04\x12\x0c\n\x04name\x18\x02 \x01(\t\x12\x0c\n\x04size\x18\x03 \x01(\x04\x12\x0e\n\x06sha256\x18\x04 \x01(\x0c"K\n\x12ListResultsRequest\x12\x0e\n\x06job_id\x18\x01 \x01(\t\x12\x11\n\tpage_size\x18\x02 \x01(\r\x12\x12\n\npage_token\x18\x03 \x01(\t"X\n\x13ListResultsResponse\x12(\n\x05files\x18\x01 \x03(\x0b2\x19.goodnoise.v1.AugmentFile\x12\x17\n\x0fnext_page_token\x18\x02 \x01(\t"R\n\x13FetchResultsRequest\x12\x0e\n\x06job_id\x18\x01 \x01(\t\x12\x0c\n\x04file\x18\x02 \x01(\x04\x12\x0e\n\x06offset\x18\x03 \x01(\x04\x12\r\n\x05files\x18\x04 \x01(\x04"B\n\x14FetchResultsResponse\x12\x0c\n\x04file\x18\x01 \x01(\x04\x12\x0e\n\x06offset\x18\x02 \x01(\x04\x12\x0c\n\x04part\x18\x03 \x01(\x0c*\xcc\x01\n\x0cAugmentState\x12\x1d\n\x19AUGMENT_STATE_UNSPECIFIED\x10\x00\x12\x18\n\x14AUGMENT_STATE_QUEUED\x10\x01\x12\x19\n\x15AUGMENT_STATE_RUNNING\x10\x02\x12\x16\n\x12AUGMENT_STATE_DONE\x10\x03\x12\x18\n\x14AUGMENT_STATE_FAILED\x10\x04\x12\x1b\n\x17AUGMENT_STATE_CANCELLED\x10\x05\x12\x19\n\x15AUGMENT_STATE_EXPIRED\x10\x06*\x82\x01\n\x0cAugmentStage\x12\x1d\n\x19AUGMENT_STAGE_UNSPECIFIED\x10\x00\x12\x1b\n\x17AUGMENT_STAGE_SURROGATE\x10\x01\x12\x1b\n\x17AUGMENT_STAGE_UNIVERSAL\x10\x02\x12\x19\n\x15AUGMENT_STAGE_SAMPLES\x10\x032\x86\x05\n\x0eAugmentService\x12N\n\tSubmitJob\x12\x1e.goodnoise.v1.SubmitJobRequest\x1a\x1f.goodnoise.v1.SubmitJobResponse(\x01\x12C\n\x06GetJob\x12\x1b.goodnoise.v1.GetJobRequest\x1a\x1c.goodnoise.v1.GetJobResponse\x12I\n\x08ListJobs\x12\x1d.goodnoise.v1.ListJobsRequest\x1a\x1e.goodnoise.v1.ListJobsResponse\x12K\n\x08WatchJob\x12\x1d.goodnoise.v1.WatchJobRequest\x1a\x1e.goodnoise.v1.WatchJobResponse0\x01\x12L\n\tCancelJob\x12\x1e.goodnoise.v1.CancelJobRequest\x1a\x1f.goodnoise.v1.CancelJobResponse\x12L\n\tDeleteJob\x12\x1e.goodnoise.v1.DeleteJobRequest\x1a\x1f.goodnoise.v1.DeleteJobResponse\x12R\n\x0bListResults\x12 .goodnoise.v1.ListResultsRequest\x1a!.goodnoise.v1.ListResultsResponse\x12W\n\x0cFetchResults\x12!.goodnoise.v1.FetchResultsRequest\x1a".goodnoise.v1.FetchResultsResponse0\x01b\x06proto3')
_globals = globals()
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'goodnoise.v1.augment_pb2', _globals)
if not _descriptor._USE_C_DESCRIPTORS:
    DESCRIPTOR._loaded_options = None
    _globals['_AUGMENTSTATE']._serialized_start = 2058
    _globals['_AUGMENTSTATE']._serialized_end = 2262
    _globals['_AUGMENTSTAGE']._serialized_start = 2265
    _globals['_AUGMENTSTAGE']._serialized_end = 2395
    _globals['_AUGMENTPROGRESS']._serialized_start = 77
    _globals['_AUGMENTPROGRESS']._serialized_end = 198
    _globals['_AUGMENTFAILURE']._serialized_start = 200
    _globals['_AUGMENTFAILURE']._serialized_end = 247
    _globals['_AUGMENTJOB']._serialized_start = 250
    _globals['_AUGMENTJOB']._serialized_end = 774
    _globals['_AUGMENTORDER']._serialized_start = 776
    _globals['_AUGMENTORDER']._serialized_end = 879
    _globals['_AUGMENTIMAGE']._serialized_start = 881
    _globals['_AUGMENTIMAGE']._serialized_end = 956
    _globals['_SUBMITJOBREQUEST']._serialized_start = 958
    _globals['_SUBMITJOBREQUEST']._serialized_end = 1074
    _globals['_SUBMITJOBRESPONSE']._serialized_start = 1076
    _globals['_SUBMITJOBRESPONSE']._serialized_end = 1157
    _globals['_GETJOBREQUEST']._serialized_start = 1159
    _globals['_GETJOBREQUEST']._serialized_end = 1190
    _globals['_GETJOBRESPONSE']._serialized_start = 1192
    _globals['_GETJOBRESPONSE']._serialized_end = 1247
    _globals['_LISTJOBSREQUEST']._serialized_start = 1249
    _globals['_LISTJOBSREQUEST']._serialized_end = 1305
    _globals['_LISTJOBSRESPONSE']._serialized_start = 1307
    _globals['_LISTJOBSRESPONSE']._serialized_end = 1390
    _globals['_WATCHJOBREQUEST']._serialized_start = 1392
    _globals['_WATCHJOBREQUEST']._serialized_end = 1449
    _globals['_WATCHJOBRESPONSE']._serialized_start = 1451
    _globals['_WATCHJOBRESPONSE']._serialized_end = 1508
    _globals['_CANCELJOBREQUEST']._serialized_start = 1510
    _globals['_CANCELJOBREQUEST']._serialized_end = 1544
    _globals['_CANCELJOBRESPONSE']._serialized_start = 1546
    _globals['_CANCELJOBRESPONSE']._serialized_end = 1604
    _globals['_DELETEJOBREQUEST']._serialized_start = 1606
    _globals['_DELETEJOBREQUEST']._serialized_end = 1640
    _globals['_DELETEJOBRESPONSE']._serialized_start = 1642
    _globals['_DELETEJOBRESPONSE']._serialized_end = 1661
    _globals['_AUGMENTFILE']._serialized_start = 1663
    _globals['_AUGMENTFILE']._serialized_end = 1736
    _globals['_LISTRESULTSREQUEST']._serialized_start = 1738
    _globals['_LISTRESULTSREQUEST']._serialized_end = 1813
    _globals['_LISTRESULTSRESPONSE']._serialized_start = 1815
    _globals['_LISTRESULTSRESPONSE']._serialized_end = 1903
    _globals['_FETCHRESULTSREQUEST']._serialized_start = 1905
    _globals['_FETCHRESULTSREQUEST']._serialized_end = 1987
    _globals['_FETCHRESULTSRESPONSE']._serialized_start = 1989
    _globals['_FETCHRESULTSRESPONSE']._serialized_end = 2055
    _globals['_AUGMENTSERVICE']._serialized_start = 2398
    _globals['_AUGMENTSERVICE']._serialized_end = 3044