"""Client and server classes corresponding to protobuf-defined services."""
import grpc
import warnings
from ...goodnoise.v1 import captcha_pb2 as goodnoise_dot_v1_dot_captcha__pb2
GRPC_GENERATED_VERSION = '1.76.0'
GRPC_VERSION = grpc.__version__
_version_not_supported = False
try:
    from grpc._utilities import first_version_is_lower
    _version_not_supported = first_version_is_lower(GRPC_VERSION, GRPC_GENERATED_VERSION)
except ImportError:
    _version_not_supported = True
if _version_not_supported:
    raise RuntimeError(f'The grpc package installed is at version {GRPC_VERSION},' + ' but the generated code in goodnoise/v1/captcha_pb2_grpc.py depends on' + f' grpcio>={GRPC_GENERATED_VERSION}.' + f' Please upgrade your grpc module to grpcio>={GRPC_GENERATED_VERSION}' + f' or downgrade your generated code using grpcio-tools<={GRPC_VERSION}.')

class CaptchaServiceStub(object):
    """CaptchaService gives challenges and spends tokens.

    A site's server may send its secret as metadata, "authorization: Bearer SECRET". It must do so for Verify, and
    where it fills `visitor_address`. An app on a visitor's own device sends none: its visitor is the peer.

    Every method: INVALID_ARGUMENT names the field that is too long or holds what it may not. UNAUTHENTICATED: the
    secret is none of a site. RESOURCE_EXHAUSTED: the visitor, its network or the site reached a limit, or too many
    calls run; DEADLINE_EXCEEDED: less than 5 ms were left, nothing was done; UNAVAILABLE: state cannot be reached,
    nothing was done. RetryInfo says how long to wait where that is known. No message quotes a secret, a token or an
    answer.
    """

    def __init__(self, channel):
        """Constructor.

        Args:
            channel: A grpc.Channel.
        """
        self.Issue = channel.unary_unary('/goodnoise.v1.CaptchaService/Issue', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.IssueRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.IssueResponse.FromString, _registered_method=True)
        self.GetImage = channel.unary_unary('/goodnoise.v1.CaptchaService/GetImage', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.GetImageRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.GetImageResponse.FromString, _registered_method=True)
        self.GetAudio = channel.unary_unary('/goodnoise.v1.CaptchaService/GetAudio', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.GetAudioRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.GetAudioResponse.FromString, _registered_method=True)
        self.Answer = channel.unary_unary('/goodnoise.v1.CaptchaService/Answer', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.AnswerRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.AnswerResponse.FromString, _registered_method=True)
        self.Verify = channel.unary_unary('/goodnoise.v1.CaptchaService/Verify', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.VerifyRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.VerifyResponse.FromString, _registered_method=True)
        self.GetReport = channel.unary_unary('/goodnoise.v1.CaptchaService/GetReport', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.GetReportRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.GetReportResponse.FromString, _registered_method=True)

class CaptchaServiceServicer(object):
    """CaptchaService gives challenges and spends tokens.

    A site's server may send its secret as metadata, "authorization: Bearer SECRET". It must do so for Verify, and
    where it fills `visitor_address`. An app on a visitor's own device sends none: its visitor is the peer.

    Every method: INVALID_ARGUMENT names the field that is too long or holds what it may not. UNAUTHENTICATED: the
    secret is none of a site. RESOURCE_EXHAUSTED: the visitor, its network or the site reached a limit, or too many
    calls run; DEADLINE_EXCEEDED: less than 5 ms were left, nothing was done; UNAVAILABLE: state cannot be reached,
    nothing was done. RetryInfo says how long to wait where that is known. No message quotes a secret, a token or an
    answer.
    """

    def Issue(self, request, context):
        """Issue gives a new challenge. With an empty pool of images it gives proof of work where the site allows that.

        NOT_FOUND: no such site key, or the site is disabled. PERMISSION_DENIED: the host name is none of the site's, or
        the site does not offer the proof of work that was asked for.
        UNAVAILABLE: no challenge of this kind can be given now; RetryInfo says when to ask again.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def GetImage(self, request, context):
        """GetImage gives the image of an image challenge, the same one each time.

        NOT_FOUND: never issued. FAILED_PRECONDITION: it has expired, was answered, or is of another kind.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def GetAudio(self, request, context):
        """GetAudio gives the sound of an audio challenge, with fresh noise each time.

        Errors are those of GetImage. RESOURCE_EXHAUSTED: it was played too often; ask for a new challenge.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def Answer(self, request, context):
        """Answer spends a challenge, whether the answer is right or wrong. A wrong one is no error.

        NOT_FOUND: never issued. FAILED_PRECONDITION: it has expired or was answered. INVALID_ARGUMENT: what was sent can be
        no answer to this kind of challenge; that spends nothing.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def Verify(self, request, context):
        """Verify spends a token for the site whose secret the call carries, and tells what it stands for. A token that is
        forged, expired, spent or another site's is no error: the verdict says it. It must not be called again after an
        unclear end without `idempotency_key`, since the first call may have spent the token.

        UNAUTHENTICATED: the call carries no site's secret.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def GetReport(self, request, context):
        """GetReport gives the last published report on what programs read of the images.

        NOT_FOUND: none was published.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

def add_CaptchaServiceServicer_to_server(servicer, server):
    rpc_method_handlers = {'Issue': grpc.unary_unary_rpc_method_handler(servicer.Issue, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.IssueRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.IssueResponse.SerializeToString), 'GetImage': grpc.unary_unary_rpc_method_handler(servicer.GetImage, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.GetImageRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.GetImageResponse.SerializeToString), 'GetAudio': grpc.unary_unary_rpc_method_handler(servicer.GetAudio, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.GetAudioRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.GetAudioResponse.SerializeToString), 'Answer': grpc.unary_unary_rpc_method_handler(servicer.Answer, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.AnswerRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.AnswerResponse.SerializeToString), 'Verify': grpc.unary_unary_rpc_method_handler(servicer.Verify, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.VerifyRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.VerifyResponse.SerializeToString), 'GetReport': grpc.unary_unary_rpc_method_handler(servicer.GetReport, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.GetReportRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.GetReportResponse.SerializeToString)}
    generic_handler = grpc.method_handlers_generic_handler('goodnoise.v1.CaptchaService', rpc_method_handlers)
    server.add_generic_rpc_handlers((generic_handler,))
    server.add_registered_method_handlers('goodnoise.v1.CaptchaService', rpc_method_handlers)

class CaptchaService(object):
    """CaptchaService gives challenges and spends tokens.

    A site's server may send its secret as metadata, "authorization: Bearer SECRET". It must do so for Verify, and
    where it fills `visitor_address`. An app on a visitor's own device sends none: its visitor is the peer.

    Every method: INVALID_ARGUMENT names the field that is too long or holds what it may not. UNAUTHENTICATED: the
    secret is none of a site. RESOURCE_EXHAUSTED: the visitor, its network or the site reached a limit, or too many
    calls run; DEADLINE_EXCEEDED: less than 5 ms were left, nothing was done; UNAVAILABLE: state cannot be reached,
    nothing was done. RetryInfo says how long to wait where that is known. No message quotes a secret, a token or an
    answer.
    """

    @staticmethod
    def Issue(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaService/Issue', goodnoise_dot_v1_dot_captcha__pb2.IssueRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.IssueResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def GetImage(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaService/GetImage', goodnoise_dot_v1_dot_captcha__pb2.GetImageRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.GetImageResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def GetAudio(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaService/GetAudio', goodnoise_dot_v1_dot_captcha__pb2.GetAudioRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.GetAudioResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def Answer(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaService/Answer', goodnoise_dot_v1_dot_captcha__pb2.AnswerRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.AnswerResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def Verify(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaService/Verify', goodnoise_dot_v1_dot_captcha__pb2.VerifyRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.VerifyResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def GetReport(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaService/GetReport', goodnoise_dot_v1_dot_captcha__pb2.GetReportRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.GetReportResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

class CaptchaAdminServiceStub(object):
    """CaptchaAdminService keeps sites, on the operators' own address: with mutual TLS, or on loopback with the metadata
    "authorization: Bearer TOKEN" and the content of the server's token file.

    CaptchaService sees a change within two seconds, since its processes remember sites for so long.

    Every method: UNAUTHENTICATED: on loopback, the token is missing or wrong. INVALID_ARGUMENT, DEADLINE_EXCEEDED and
    UNAVAILABLE are those of CaptchaService.
    """

    def __init__(self, channel):
        """Constructor.

        Args:
            channel: A grpc.Channel.
        """
        self.CreateSite = channel.unary_unary('/goodnoise.v1.CaptchaAdminService/CreateSite', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.CreateSiteRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.CreateSiteResponse.FromString, _registered_method=True)
        self.RotateSecret = channel.unary_unary('/goodnoise.v1.CaptchaAdminService/RotateSecret', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.RotateSecretRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.RotateSecretResponse.FromString, _registered_method=True)
        self.ListSites = channel.unary_unary('/goodnoise.v1.CaptchaAdminService/ListSites', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.ListSitesRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.ListSitesResponse.FromString, _registered_method=True)
        self.DisableSite = channel.unary_unary('/goodnoise.v1.CaptchaAdminService/DisableSite', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.DisableSiteRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.DisableSiteResponse.FromString, _registered_method=True)
        self.EnableSite = channel.unary_unary('/goodnoise.v1.CaptchaAdminService/EnableSite', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.EnableSiteRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.EnableSiteResponse.FromString, _registered_method=True)
        self.DeleteSite = channel.unary_unary('/goodnoise.v1.CaptchaAdminService/DeleteSite', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.DeleteSiteRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.DeleteSiteResponse.FromString, _registered_method=True)
        self.GetPoolDepth = channel.unary_unary('/goodnoise.v1.CaptchaAdminService/GetPoolDepth', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.GetPoolDepthRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.GetPoolDepthResponse.FromString, _registered_method=True)
        self.PublishReport = channel.unary_unary('/goodnoise.v1.CaptchaAdminService/PublishReport', request_serializer=goodnoise_dot_v1_dot_captcha__pb2.PublishReportRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_captcha__pb2.PublishReportResponse.FromString, _registered_method=True)

class CaptchaAdminServiceServicer(object):
    """CaptchaAdminService keeps sites, on the operators' own address: with mutual TLS, or on loopback with the metadata
    "authorization: Bearer TOKEN" and the content of the server's token file.

    CaptchaService sees a change within two seconds, since its processes remember sites for so long.

    Every method: UNAUTHENTICATED: on loopback, the token is missing or wrong. INVALID_ARGUMENT, DEADLINE_EXCEEDED and
    UNAVAILABLE are those of CaptchaService.
    """

    def CreateSite(self, request, context):
        """CreateSite makes a site. Its secret is shown here once and kept as a hash.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def RotateSecret(self, request, context):
        """RotateSecret gives a site a new secret. The one before it stays good until the next rotation; older ones end.

        NOT_FOUND: no such site.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def ListSites(self, request, context):
        """ListSites lists every site, the oldest first; secrets are not among what it tells.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def DisableSite(self, request, context):
        """DisableSite ends challenges and verdicts of a site until EnableSite. Disabling twice is no error.

        NOT_FOUND: no such site.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def EnableSite(self, request, context):
        """EnableSite undoes DisableSite.

        NOT_FOUND: no such site.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def DeleteSite(self, request, context):
        """DeleteSite removes a site for good; its tokens are worth nothing from then on.

        NOT_FOUND: no such site.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def GetPoolDepth(self, request, context):
        """GetPoolDepth counts the images that wait for a visitor.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def PublishReport(self, request, context):
        """PublishReport replaces the report that the service shows.

        INVALID_ARGUMENT: not one JSON object in UTF-8, or more than 1 MiB.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

def add_CaptchaAdminServiceServicer_to_server(servicer, server):
    rpc_method_handlers = {'CreateSite': grpc.unary_unary_rpc_method_handler(servicer.CreateSite, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.CreateSiteRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.CreateSiteResponse.SerializeToString), 'RotateSecret': grpc.unary_unary_rpc_method_handler(servicer.RotateSecret, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.RotateSecretRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.RotateSecretResponse.SerializeToString), 'ListSites': grpc.unary_unary_rpc_method_handler(servicer.ListSites, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.ListSitesRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.ListSitesResponse.SerializeToString), 'DisableSite': grpc.unary_unary_rpc_method_handler(servicer.DisableSite, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.DisableSiteRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.DisableSiteResponse.SerializeToString), 'EnableSite': grpc.unary_unary_rpc_method_handler(servicer.EnableSite, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.EnableSiteRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.EnableSiteResponse.SerializeToString), 'DeleteSite': grpc.unary_unary_rpc_method_handler(servicer.DeleteSite, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.DeleteSiteRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.DeleteSiteResponse.SerializeToString), 'GetPoolDepth': grpc.unary_unary_rpc_method_handler(servicer.GetPoolDepth, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.GetPoolDepthRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.GetPoolDepthResponse.SerializeToString), 'PublishReport': grpc.unary_unary_rpc_method_handler(servicer.PublishReport, request_deserializer=goodnoise_dot_v1_dot_captcha__pb2.PublishReportRequest.FromString, response_serializer=goodnoise_dot_v1_dot_captcha__pb2.PublishReportResponse.SerializeToString)}
    generic_handler = grpc.method_handlers_generic_handler('goodnoise.v1.CaptchaAdminService', rpc_method_handlers)
    server.add_generic_rpc_handlers((generic_handler,))
    server.add_registered_method_handlers('goodnoise.v1.CaptchaAdminService', rpc_method_handlers)

class CaptchaAdminService(object):
    """CaptchaAdminService keeps sites, on the operators' own address: with mutual TLS, or on loopback with the metadata
    "authorization: Bearer TOKEN" and the content of the server's token file.

    CaptchaService sees a change within two seconds, since its processes remember sites for so long.

    Every method: UNAUTHENTICATED: on loopback, the token is missing or wrong. INVALID_ARGUMENT, DEADLINE_EXCEEDED and
    UNAVAILABLE are those of CaptchaService.
    """

    @staticmethod
    def CreateSite(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaAdminService/CreateSite', goodnoise_dot_v1_dot_captcha__pb2.CreateSiteRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.CreateSiteResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def RotateSecret(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaAdminService/RotateSecret', goodnoise_dot_v1_dot_captcha__pb2.RotateSecretRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.RotateSecretResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def ListSites(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaAdminService/ListSites', goodnoise_dot_v1_dot_captcha__pb2.ListSitesRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.ListSitesResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def DisableSite(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaAdminService/DisableSite', goodnoise_dot_v1_dot_captcha__pb2.DisableSiteRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.DisableSiteResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def EnableSite(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaAdminService/EnableSite', goodnoise_dot_v1_dot_captcha__pb2.EnableSiteRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.EnableSiteResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def DeleteSite(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaAdminService/DeleteSite', goodnoise_dot_v1_dot_captcha__pb2.DeleteSiteRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.DeleteSiteResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def GetPoolDepth(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaAdminService/GetPoolDepth', goodnoise_dot_v1_dot_captcha__pb2.GetPoolDepthRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.GetPoolDepthResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def PublishReport(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.CaptchaAdminService/PublishReport', goodnoise_dot_v1_dot_captcha__pb2.PublishReportRequest.SerializeToString, goodnoise_dot_v1_dot_captcha__pb2.PublishReportResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)