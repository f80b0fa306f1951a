"""Generated protocol buffer code."""
from google.protobuf import descriptor as _descriptor
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import runtime_version as _runtime_version
from google.protobuf import symbol_database as _symbol_database
from google.protobuf.internal import builder as _builder
_runtime_version.ValidateProtobufRuntimeVersion(_runtime_version.Domain.PUBLIC, 6, 31, 1, '', 'goodnoise/v1/captcha.proto')
_sym_db = _symbol_database.Default()
from google.protobuf import timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x1agoodnoise/v1/captcha.proto\x12\x0cgoodnoise.v1\x1a\x1fgoogle/protobuf/timestamp.proto"\xa5\x01\n\x0cIssueRequest\x12\x10\n\x08site_key\x18\x01 \x01(\t\x12\'\n\x04kind\x18\x02 \x01(\x0e2\x19.goodnoise.v1.CaptchaKind\x12\x10\n\x08hostname\x18\x03 \x01(\t\x12\x0e\n\x06action\x18\x04 \x01(\t\x12\r\n\x05cdata\x18\x05 \x01(\t\x12\x17\n\x0fvisitor_address\x18\x06 \x01(\t\x12\x10\n\x08language\x18\x07 \x01(\t"\xbf\x01\n\rIssueResponse\x12\x14\n\x0cchallenge_id\x18\x01 \x01(\t\x12\'\n\x04kind\x18\x02 \x01(\x0e2\x19.goodnoise.v1.CaptchaKind\x12/\n\x0bexpire_time\x18\x03 \x01(\x0b2\x1a.google.protobuf.Timestamp\x12\x15\n\ranswer_length\x18\x04 \x01(\r\x12\'\n\x04work\x18\x05 \x01(\x0b2\x19.goodnoise.v1.ProofOfWork")\n\x0bProofOfWork\x12\x0c\n\x04salt\x18\x01 \x01(\t\x12\x0c\n\x04bits\x18\x02 \x01(\r"@\n\x0fGetImageRequest\x12\x14\n\x0cchallenge_id\x18\x01 \x01(\t\x12\x17\n\x0fvisitor_address\x18\x02 \x01(\t"7\n\x10GetImageResponse\x12\x0f\n\x07content\x18\x01 \x01(\x0c\x12\x12\n\nmedia_type\x18\x02 \x01(\t"@\n\x0fGetAudioRequest\x12\x14\n\x0cchallenge_id\x18\x01 \x01(\t\x12\x17\n\x0fvisitor_address\x18\x02 \x01(\t"7\n\x10GetAudioResponse\x12\x0f\n\x07content\x18\x01 \x01(\x0c\x12\x12\n\nmedia_type\x18\x02 \x01(\t"N\n\rAnswerRequest\x12\x14\n\x0cchallenge_id\x18\x01 \x01(\t\x12\x0e\n\x06answer\x18\x02 \x01(\t\x12\x17\n\x0fvisitor_address\x18\x03 \x01(\t".\n\x0eAnswerResponse\x12\r\n\x05right\x18\x01 \x01(\x08\x12\r\n\x05token\x18\x02 \x01(\t"P\n\rVerifyRequest\x12\r\n\x05token\x18\x01 \x01(\t\x12\x17\n\x0fvisitor_address\x18\x02 \x01(\t\x12\x17\n\x0fidempotency_key\x18\x03 \x01(\t"\x9b\x01\n\x0eVerifyResponse\x12\x0f\n\x07success\x18\x01 \x01(\x08\x122\n\x0echallenge_time\x18\x02 \x01(\x0b2\x1a.google.protobuf.Timestamp\x12\x10\n\x08hostname\x18\x03 \x01(\t\x12\x0e\n\x06action\x18\x04 \x01(\t\x12\r\n\x05cdata\x18\x05 \x01(\t\x12\x13\n\x0berror_codes\x18\x06 \x03(\t"\x12\n\x10GetReportRequest"#\n\x11GetReportResponse\x12\x0e\n\x06report\x18\x01 \x01(\x0c"\x92\x01\n\x04Site\x12\x10\n\x08site_key\x18\x01 \x01(\t\x12\x11\n\thostnames\x18\x02 \x03(\t\x12\x14\n\x0cwork_allowed\x18\x03 \x01(\x08\x12\x10\n\x08disabled\x18\x04 \x01(\x08\x12/\n\x0bcreate_time\x18\x05 \x01(\x0b2\x1a.google.protobuf.Timestamp\x12\x0c\n\x04name\x18\x06 \x01(\t"I\n\x11CreateSiteRequest\x12\x0c\n\x04name\x18\x01 \x01(\t\x12\x11\n\thostnames\x18\x02 \x03(\t\x12\x13\n\x0brefuse_work\x18\x03 \x01(\x08"F\n\x12CreateSiteResponse\x12 \n\x04site\x18\x01 \x01(\x0b2\x12.goodnoise.v1.Site\x12\x0e\n\x06secret\x18\x02 \x01(\t"\'\n\x13RotateSecretRequest\x12\x10\n\x08site_key\x18\x01 \x01(\t"&\n\x14RotateSecretResponse\x12\x0e\n\x06secret\x18\x01 \x01(\t"9\n\x10ListSitesRequest\x12\x11\n\tpage_size\x18\x01 \x01(\r\x12\x12\n\npage_token\x18\x02 \x01(\t"O\n\x11ListSitesResponse\x12!\n\x05sites\x18\x01 \x03(\x0b2\x12.goodnoise.v1.Site\x12\x17\n\x0fnext_page_token\x18\x02 \x01(\t"&\n\x12DisableSiteRequest\x12\x10\n\x08site_key\x18\x01 \x01(\t"\x15\n\x13DisableSiteResponse"%\n\x11EnableSiteRequest\x12\x10\n\x08site_key\x18\x01 \x01(\t"\x14\n\x12EnableSiteResponse"%\n\x11DeleteSiteRequest\x12\x10\n\x08site_key\x18\x01 \x01(\t"\x14\n\x12DeleteSiteResponse"\x15\n\x13GetPoolDepthRequest"&\n\x14GetPoolDepthResponse\x12\x0e\n\x06images\x18\x01 \x01(\x04"&\n\x14PublishReportRequest\x12\x0e\n\x06report\x18\x01 \x01(\x0c"\x17\n\x15PublishReportResponse*r\n\x0bCaptchaKind\x12\x1c\n\x18CAPTCHA_KIND_UNSPECIFIED\x10\x00\x12\x16\n\x12CAPTCHA_KIND_IMAGE\x10\x01\x12\x16\n\x12CAPTCHA_KIND_AUDIO\x10\x02\x12\x15\n\x11CAPTCHA_KIND_WORK\x10\x032\xc0\x03\n\x0eCaptchaService\x12@\n\x05Issue\x12\x1a.goodnoise.v1.IssueRequest\x1a\x1b.goodnoise.v1.IssueResponse\x12I\n\x08GetImage\x12\x1d.goodnoise.v1.GetImageRequest\x1a\x1e.goodnoise.v1.GetImageResponse\x12I\n\x08GetAudio\x12\x1d.goodnoise.v1.GetAudioRequest\x1a\x1e.goodnoise.v1.GetAudioResponse\x12C\n\x06Answer\x12\x1b.goodnoise.v1.AnswerRequest\x1a\x1c.goodnoise.v1.AnswerResponse\x12C\n\x06Verify\x12\x1b.goodnoise.v1.VerifyRequest\x1a\x1c.goodnoise.v1.VerifyResponse\x12L\n\tGetReport\x12\x1e.goodnoise.v1.GetReportRequest\x1a\x1f.goodnoise.v1.GetReportResponse2\xb2\x05\n\x13CaptchaAdminService\x12O\n\nCreateSite\x12\x1f.goodnoise.v1.CreateSiteRequest\x1a .goodnoise.v1.CreateSiteResponse\x12U\n\x0cRotateSecret\x12!.goodnoise.v1.RotateSecretRequest\x1a".goodnoise.v1.RotateSecretResponse\x12L\n\tListSites\x12\x1e.goodnoise.v1.ListSitesRequest\x1a\x1f.goodnoise.v1.ListSitesResponse\x12R\n\x0bDisableSite\x12 .goodnoise.v1.DisableSiteRequest\x1a!.goodnoise.v1.DisableSiteResponse\x12O\n\nEnableSite\x12\x1f.goodnoise.v1.EnableSiteRequest\x1a .goodnoise.v1.EnableSiteResponse\x12O\n\nDeleteSite\x12\x1f.goodnoise.v1.DeleteSiteRequest\x1a .goodnoise.v1.DeleteSiteResponse\x12U\n\x0cGetPoolDepth\x12!.goodnoise.v1.GetPoolDepthRequest\x1a".goodnoise.v1.GetPoolDepthResponse\x12X\n\rPublishReport\x12".goodnoise.v1.PublishReportRequest\x1a#.goodnoise.v1.PublishReportResponseb\x06proto3')
_globals = globals()
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'goodnoise.v1.captcha_pb2', _globals)
if not _descriptor._USE_C_DESCRIPTORS:
    DESCRIPTOR._loaded_options = None
    _globals['_CAPTCHAKIND']._serialized_start = 1983
    _globals['_CAPTCHAKIND']._serialized_end = 2097
    _globals['_ISSUEREQUEST']._serialized_start = 78
    _globals['_ISSUEREQUEST']._serialized_end = 243
    _globals['_ISSUERESPONSE']._serialized_start = 246
    _globals['_ISSUERESPONSE']._serialized_end = 437
    _globals['_PROOFOFWORK']._serialized_start = 439
    _globals['_PROOFOFWORK']._serialized_end = 480
    _globals['_GETIMAGEREQUEST']._serialized_start = 482
    _globals['_GETIMAGEREQUEST']._serialized_end = 546
    _globals['_GETIMAGERESPONSE']._serialized_start = 548
    _globals['_GETIMAGERESPONSE']._serialized_end = 603
    _globals['_GETAUDIOREQUEST']._serialized_start = 605
    _globals['_GETAUDIOREQUEST']._serialized_end = 669
    _globals['_GETAUDIORESPONSE']._serialized_start = 671
    _globals['_GETAUDIORESPONSE']._serialized_end = 726
    _globals['_ANSWERREQUEST']._serialized_start = 728
    _globals['_ANSWERREQUEST']._serialized_end = 806
    _globals['_ANSWERRESPONSE']._serialized_start = 808
    _globals['_ANSWERRESPONSE']._serialized_end = 854
    _globals['_VERIFYREQUEST']._serialized_start = 856
    _globals['_VERIFYREQUEST']._serialized_end = 936
    _globals['_VERIFYRESPONSE']._serialized_start = 939
    _globals['_VERIFYRESPONSE']._serialized_end = 1094
    _globals['_GETREPORTREQUEST']._serialized_start = 1096
    _globals['_GETREPORTREQUEST']._serialized_end = 1114
    _globals['_GETREPORTRESPONSE']._serialized_start = 1116
    _globals['_GETREPORTRESPONSE']._serialized_end = 1151
    _globals['_SITE']._serialized_start = 1154
    _globals['_SITE']._serialized_end = 1300
    _globals['_CREATESITEREQUEST']._serialized_start = 1302
    _globals['_CREATESITEREQUEST']._serialized_end = 1375
    _globals['_CREATESITERESPONSE']._serialized_start = 1377
    _globals['_CREATESITERESPONSE']._serialized_end = 1447
    _globals['_ROTATESECRETREQUEST']._serialized_start = 1449
    _globals['_ROTATESECRETREQUEST']._serialized_end = 1488
    _globals['_ROTATESECRETRESPONSE']._serialized_start = 1490
    _globals['_ROTATESECRETRESPONSE']._serialized_end = 1528
    _globals['_LISTSITESREQUEST']._serialized_start = 1530
    _globals['_LISTSITESREQUEST']._serialized_end = 1587
    _globals['_LISTSITESRESPONSE']._serialized_start = 1589
    _globals['_LISTSITESRESPONSE']._serialized_end = 1668
    _globals['_DISABLESITEREQUEST']._serialized_start = 1670
    _globals['_DISABLESITEREQUEST']._serialized_end = 1708
    _globals['_DISABLESITERESPONSE']._serialized_start = 1710
    _globals['_DISABLESITERESPONSE']._serialized_end = 1731
    _globals['_ENABLESITEREQUEST']._serialized_start = 1733
    _globals['_ENABLESITEREQUEST']._serialized_end = 1770
    _globals['_ENABLESITERESPONSE']._serialized_start = 1772
    _globals['_ENABLESITERESPONSE']._serialized_end = 1792
    _globals['_DELETESITEREQUEST']._serialized_start = 1794
    _globals['_DELETESITEREQUEST']._serialized_end = 1831
    _globals['_DELETESITERESPONSE']._serialized_start = 1833
    _globals['_DELETESITERESPONSE']._serialized_end = 1853
    _globals['_GETPOOLDEPTHREQUEST']._serialized_start = 1855
    _globals['_GETPOOLDEPTHREQUEST']._serialized_end = 1876
    _globals['_GETPOOLDEPTHRESPONSE']._serialized_start = 1878
    _globals['_GETPOOLDEPTHRESPONSE']._serialized_end = 1916
    _globals['_PUBLISHREPORTREQUEST']._serialized_start = 1918
    _globals['_PUBLISHREPORTREQUEST']._serialized_end = 1956
    _globals['_PUBLISHREPORTRESPONSE']._serialized_start = 1958
    _globals['_PUBLISHREPORTRESPONSE']._serialized_end = 1981
    _globals['_CAPTCHASERVICE']._serialized_start = 2100
    _globals['_CAPTCHASERVICE']._serialized_end = 2548
    _globals['_CAPTCHAADMINSERVICE']._serialized_start = 2551
    _globals['_CAPTCHAADMINSERVICE']._serialized_end = 3241