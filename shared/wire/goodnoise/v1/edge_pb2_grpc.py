"""Client and server classes corresponding to protobuf-defined services."""
import grpc
import warnings
from ...goodnoise.v1 import edge_pb2 as goodnoise_dot_v1_dot_edge__pb2
GRPC_GENERATED_VERSION = '1.76.0'
GRPC_VERSION = grpc.__version__
_version_not_supported = False
try:
    from grpc._utilities import first_version_is_lower
    _version_not_supported = first_version_is_lower(GRPC_VERSION, GRPC_GENERATED_VERSION)
except ImportError:
    _version_not_supported = True
if _version_not_supported:
    raise RuntimeError(f'The grpc package installed is at version {GRPC_VERSION},' + ' but the generated code in goodnoise/v1/edge_pb2_grpc.py depends on' + f' grpcio>={GRPC_GENERATED_VERSION}.' + f' Please upgrade your grpc module to grpcio>={GRPC_GENERATED_VERSION}' + f' or downgrade your generated code using grpcio-tools<={GRPC_VERSION}.')

class EdgeServiceStub(object):
    """EdgeService protects and checks photos on the device. On loopback every call carries the metadata
    "authorization: Bearer TOKEN", with the token that the agent wrote to its token file; UNAUTHENTICATED otherwise.
    """

    def __init__(self, channel):
        """Constructor.

        Args:
            channel: A grpc.Channel.
        """
        self.Protect = channel.stream_stream('/goodnoise.v1.EdgeService/Protect', request_serializer=goodnoise_dot_v1_dot_edge__pb2.ProtectRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_edge__pb2.ProtectResponse.FromString, _registered_method=True)
        self.Check = channel.stream_unary('/goodnoise.v1.EdgeService/Check', request_serializer=goodnoise_dot_v1_dot_edge__pb2.CheckRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_edge__pb2.CheckResponse.FromString, _registered_method=True)
        self.Update = channel.unary_stream('/goodnoise.v1.EdgeService/Update', request_serializer=goodnoise_dot_v1_dot_edge__pb2.UpdateRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_edge__pb2.UpdateResponse.FromString, _registered_method=True)

class EdgeServiceServicer(object):
    """EdgeService protects and checks photos on the device. On loopback every call carries the metadata
    "authorization: Bearer TOKEN", with the token that the agent wrote to its token file; UNAUTHENTICATED otherwise.
    """

    def Protect(self, request_iterator, context):
        """Protect takes options, then a photo in parts, then album photos in parts, each with its end; it streams progress,
        then the protected photo in parts, then a report. One photo is worked on at a time; further calls wait, and are
        told so by a progress of stage "wait". Cancelling the call stops the work.

        INVALID_ARGUMENT: not a photo, bad options, or messages out of order. NOT_FOUND: no face.
        RESOURCE_EXHAUSTED: photo or album too large, or too much is being sent at once.
        FAILED_PRECONDITION: no bundle is installed. DEADLINE_EXCEEDED: no message came for a minute.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def Check(self, request_iterator, context):
        """Check compares an original and a protected photo, each sent in parts, the original first; album photos, if any,
        come last. Errors are those of Protect.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def Update(self, request, context):
        """Update fetches the current bundle of a cloud and streams progress.

        UNAVAILABLE: the cloud cannot be reached.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

def add_EdgeServiceServicer_to_server(servicer, server):
    rpc_method_handlers = {'Protect': grpc.stream_stream_rpc_method_handler(servicer.Protect, request_deserializer=goodnoise_dot_v1_dot_edge__pb2.ProtectRequest.FromString, response_serializer=goodnoise_dot_v1_dot_edge__pb2.ProtectResponse.SerializeToString), 'Check': grpc.stream_unary_rpc_method_handler(servicer.Check, request_deserializer=goodnoise_dot_v1_dot_edge__pb2.CheckRequest.FromString, response_serializer=goodnoise_dot_v1_dot_edge__pb2.CheckResponse.SerializeToString), 'Update': grpc.unary_stream_rpc_method_handler(servicer.Update, request_deserializer=goodnoise_dot_v1_dot_edge__pb2.UpdateRequest.FromString, response_serializer=goodnoise_dot_v1_dot_edge__pb2.UpdateResponse.SerializeToString)}
    generic_handler = grpc.method_handlers_generic_handler('goodnoise.v1.EdgeService', rpc_method_handlers)
    server.add_generic_rpc_handlers((generic_handler,))
    server.add_registered_method_handlers('goodnoise.v1.EdgeService', rpc_method_handlers)

class EdgeService(object):
    """EdgeService protects and checks photos on the device. On loopback every call carries the metadata
    "authorization: Bearer TOKEN", with the token that the agent wrote to its token file; UNAUTHENTICATED otherwise.
    """

    @staticmethod
    def Protect(request_iterator, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.stream_stream(request_iterator, target, '/goodnoise.v1.EdgeService/Protect', goodnoise_dot_v1_dot_edge__pb2.ProtectRequest.SerializeToString, goodnoise_dot_v1_dot_edge__pb2.ProtectResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def Check(request_iterator, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.stream_unary(request_iterator, target, '/goodnoise.v1.EdgeService/Check', goodnoise_dot_v1_dot_edge__pb2.CheckRequest.SerializeToString, goodnoise_dot_v1_dot_edge__pb2.CheckResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def Update(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_stream(request, target, '/goodnoise.v1.EdgeService/Update', goodnoise_dot_v1_dot_edge__pb2.UpdateRequest.SerializeToString, goodnoise_dot_v1_dot_edge__pb2.UpdateResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)