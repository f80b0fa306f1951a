"""Client and server classes corresponding to protobuf-defined services."""
import grpc
import warnings
from ...goodnoise.v1 import hint_pb2 as goodnoise_dot_v1_dot_hint__pb2
GRPC_GENERATED_VERSION = '1.76.0'
GRPC_VERSION = grpc.__version__
_version_not_supported = False
try:
    from grpc._utilities import first_version_is_lower
    _version_not_supported = first_version_is_lower(GRPC_VERSION, GRPC_GENERATED_VERSION)
except ImportError:
    _version_not_supported = True
if _version_not_supported:
    raise RuntimeError(f'The grpc package installed is at version {GRPC_VERSION},' + ' but the generated code in goodnoise/v1/hint_pb2_grpc.py depends on' + f' grpcio>={GRPC_GENERATED_VERSION}.' + f' Please upgrade your grpc module to grpcio>={GRPC_GENERATED_VERSION}' + f' or downgrade your generated code using grpcio-tools<={GRPC_VERSION}.')

class HintServiceStub(object):
    """HintService answers at the wire level that the method stands for.
    """

    def __init__(self, channel):
        """Constructor.

        Args:
            channel: A grpc.Channel.
        """
        self.Catalogue = channel.unary_unary('/goodnoise.v1.HintService/Catalogue', request_serializer=goodnoise_dot_v1_dot_hint__pb2.CatalogueRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_hint__pb2.CatalogueResponse.FromString, _registered_method=True)
        self.Cluster = channel.unary_unary('/goodnoise.v1.HintService/Cluster', request_serializer=goodnoise_dot_v1_dot_hint__pb2.ClusterRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_hint__pb2.ClusterResponse.FromString, _registered_method=True)
        self.Sketch = channel.unary_unary('/goodnoise.v1.HintService/Sketch', request_serializer=goodnoise_dot_v1_dot_hint__pb2.SketchRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_hint__pb2.SketchResponse.FromString, _registered_method=True)
        self.Sign = channel.unary_unary('/goodnoise.v1.HintService/Sign', request_serializer=goodnoise_dot_v1_dot_hint__pb2.SignRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_hint__pb2.SignResponse.FromString, _registered_method=True)

class HintServiceServicer(object):
    """HintService answers at the wire level that the method stands for.
    """

    def Catalogue(self, request, context):
        """Catalogue (level `pull`) lists the hints that are newer than the device's bundle. The hints themselves are objects
        of BundleService.

        FAILED_PRECONDITION: nothing is published.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def Cluster(self, request, context):
        """Cluster (level `cluster`) gives the universal perturbation for one of the sixteen public kinds of face.

        INVALID_ARGUMENT: no such kind. FAILED_PRECONDITION: this server has no perturbation for it.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def Sketch(self, request, context):
        """Sketch (level `sketch`) evaluates the server's recognisers on public faces along a sketch, for this call.

        INVALID_ARGUMENT: not the stated size. FAILED_PRECONDITION: this server runs no recognisers.
        RESOURCE_EXHAUSTED: too many calls wait. DEADLINE_EXCEEDED: the time left is shorter than the work.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def Sign(self, request, context):
        """Sign (level `sign`) does the same along a whole map of signs. Such a map tells who is in the photo.

        Errors are those of Sketch.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

def add_HintServiceServicer_to_server(servicer, server):
    rpc_method_handlers = {'Catalogue': grpc.unary_unary_rpc_method_handler(servicer.Catalogue, request_deserializer=goodnoise_dot_v1_dot_hint__pb2.CatalogueRequest.FromString, response_serializer=goodnoise_dot_v1_dot_hint__pb2.CatalogueResponse.SerializeToString), 'Cluster': grpc.unary_unary_rpc_method_handler(servicer.Cluster, request_deserializer=goodnoise_dot_v1_dot_hint__pb2.ClusterRequest.FromString, response_serializer=goodnoise_dot_v1_dot_hint__pb2.ClusterResponse.SerializeToString), 'Sketch': grpc.unary_unary_rpc_method_handler(servicer.Sketch, request_deserializer=goodnoise_dot_v1_dot_hint__pb2.SketchRequest.FromString, response_serializer=goodnoise_dot_v1_dot_hint__pb2.SketchResponse.SerializeToString), 'Sign': grpc.unary_unary_rpc_method_handler(servicer.Sign, request_deserializer=goodnoise_dot_v1_dot_hint__pb2.SignRequest.FromString, response_serializer=goodnoise_dot_v1_dot_hint__pb2.SignResponse.SerializeToString)}
    generic_handler = grpc.method_handlers_generic_handler('goodnoise.v1.HintService', rpc_method_handlers)
    server.add_generic_rpc_handlers((generic_handler,))
    server.add_registered_method_handlers('goodnoise.v1.HintService', rpc_method_handlers)

class HintService(object):
    """HintService answers at the wire level that the method stands for.
    """

    @staticmethod
    def Catalogue(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.HintService/Catalogue', goodnoise_dot_v1_dot_hint__pb2.CatalogueRequest.SerializeToString, goodnoise_dot_v1_dot_hint__pb2.CatalogueResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def Cluster(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.HintService/Cluster', goodnoise_dot_v1_dot_hint__pb2.ClusterRequest.SerializeToString, goodnoise_dot_v1_dot_hint__pb2.ClusterResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def Sketch(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.HintService/Sketch', goodnoise_dot_v1_dot_hint__pb2.SketchRequest.SerializeToString, goodnoise_dot_v1_dot_hint__pb2.SketchResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def Sign(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.HintService/Sign', goodnoise_dot_v1_dot_hint__pb2.SignRequest.SerializeToString, goodnoise_dot_v1_dot_hint__pb2.SignResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)