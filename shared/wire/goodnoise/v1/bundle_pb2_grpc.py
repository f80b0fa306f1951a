"""Client and server classes corresponding to protobuf-defined services."""
import grpc
import warnings
from ...goodnoise.v1 import bundle_pb2 as goodnoise_dot_v1_dot_bundle__pb2
GRPC_GENERATED_VERSION = '1.76.0'
GRPC_VERSION = grpc.__version__
_version_not_supported = False
try:
    from grpc._utilities import first_version_is_lower
    _version_not_supported = first_version_is_lower(GRPC_VERSION, GRPC_GENERATED_VERSION)
except ImportError:
    _version_not_supported = True
if _version_not_supported:
    raise RuntimeError(f'The grpc package installed is at version {GRPC_VERSION},' + ' but the generated code in goodnoise/v1/bundle_pb2_grpc.py depends on' + f' grpcio>={GRPC_GENERATED_VERSION}.' + f' Please upgrade your grpc module to grpcio>={GRPC_GENERATED_VERSION}' + f' or downgrade your generated code using grpcio-tools<={GRPC_VERSION}.')

class BundleServiceStub(object):
    """BundleService gives out the published bundles: signed metadata (TUF, consistent snapshots) by name, objects by
    sha256, in parts.
    """

    def __init__(self, channel):
        """Constructor.

        Args:
            channel: A grpc.Channel.
        """
        self.GetMetadata = channel.unary_unary('/goodnoise.v1.BundleService/GetMetadata', request_serializer=goodnoise_dot_v1_dot_bundle__pb2.GetMetadataRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_bundle__pb2.GetMetadataResponse.FromString, _registered_method=True)
        self.FetchObject = channel.unary_stream('/goodnoise.v1.BundleService/FetchObject', request_serializer=goodnoise_dot_v1_dot_bundle__pb2.FetchObjectRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_bundle__pb2.FetchObjectResponse.FromString, _registered_method=True)

class BundleServiceServicer(object):
    """BundleService gives out the published bundles: signed metadata (TUF, consistent snapshots) by name, objects by
    sha256, in parts.
    """

    def GetMetadata(self, request, context):
        """GetMetadata returns one file whole, at most 1 MiB: signed metadata, or a manifest that the targets name. Devices
        trust none of it before its signatures, versions, expiry, length and hashes are proven.

        NOT_FOUND: no such file (for N.root.json: N - 1 is the newest), or nothing is published. INVALID_ARGUMENT: another
        name, or an unknown profile.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def FetchObject(self, request, context):
        """FetchObject streams one object from `offset` on, in parts of at most 256 KiB.

        NOT_FOUND: no published bundle has such an object. INVALID_ARGUMENT: not a sha256. OUT_OF_RANGE: the offset lies
        behind the object's end.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

def add_BundleServiceServicer_to_server(servicer, server):
    rpc_method_handlers = {'GetMetadata': grpc.unary_unary_rpc_method_handler(servicer.GetMetadata, request_deserializer=goodnoise_dot_v1_dot_bundle__pb2.GetMetadataRequest.FromString, response_serializer=goodnoise_dot_v1_dot_bundle__pb2.GetMetadataResponse.SerializeToString), 'FetchObject': grpc.unary_stream_rpc_method_handler(servicer.FetchObject, request_deserializer=goodnoise_dot_v1_dot_bundle__pb2.FetchObjectRequest.FromString, response_serializer=goodnoise_dot_v1_dot_bundle__pb2.FetchObjectResponse.SerializeToString)}
    generic_handler = grpc.method_handlers_generic_handler('goodnoise.v1.BundleService', rpc_method_handlers)
    server.add_generic_rpc_handlers((generic_handler,))
    server.add_registered_method_handlers('goodnoise.v1.BundleService', rpc_method_handlers)

class BundleService(object):
    """BundleService gives out the published bundles: signed metadata (TUF, consistent snapshots) by name, objects by
    sha256, in parts.
    """

    @staticmethod
    def GetMetadata(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.BundleService/GetMetadata', goodnoise_dot_v1_dot_bundle__pb2.GetMetadataRequest.SerializeToString, goodnoise_dot_v1_dot_bundle__pb2.GetMetadataResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def FetchObject(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_stream(request, target, '/goodnoise.v1.BundleService/FetchObject', goodnoise_dot_v1_dot_bundle__pb2.FetchObjectRequest.SerializeToString, goodnoise_dot_v1_dot_bundle__pb2.FetchObjectResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)