"""Client and server classes corresponding to protobuf-defined services."""
import grpc
import warnings
from ...goodnoise.v1 import augment_pb2 as goodnoise_dot_v1_dot_augment__pb2
GRPC_GENERATED_VERSION = '1.76.0'
GRPC_VERSION = grpc.__version__
_version_not_supported = False
try:
    from grpc._utilities import first_version_is_lower
    _version_not_supported = first_version_is_lower(GRPC_VERSION, GRPC_GENERATED_VERSION)
except ImportError:
    _version_not_supported = True
if _version_not_supported:
    raise RuntimeError(f'The grpc package installed is at version {GRPC_VERSION},' + ' but the generated code in goodnoise/v1/augment_pb2_grpc.py depends on' + f' grpcio>={GRPC_GENERATED_VERSION}.' + f' Please upgrade your grpc module to grpcio>={GRPC_GENERATED_VERSION}' + f' or downgrade your generated code using grpcio-tools<={GRPC_VERSION}.')

class AugmentServiceStub(object):
    """AugmentService runs jobs for their owners.

    Every call carries the owner's token as metadata, "authorization: Bearer TOKEN". Owners see their own jobs alone:
    those of others answer as those that do not exist. What an owner sends is stored for the server's user alone, is
    deleted with the job, and is in no log, metric or message to others.

    Every method: UNAUTHENTICATED: the token is missing or nobody's. INVALID_ARGUMENT names the field that is too long or
    holds what it may not. RESOURCE_EXHAUSTED: a quota, named in QuotaFailure, or too many calls; RetryInfo says how long
    to wait where that is known. DEADLINE_EXCEEDED: less than 5 ms were left, nothing was done. UNAVAILABLE: state cannot
    be reached, nothing was done.
    """

    def __init__(self, channel):
        """Constructor.

        Args:
            channel: A grpc.Channel.
        """
        self.SubmitJob = channel.stream_unary('/goodnoise.v1.AugmentService/SubmitJob', request_serializer=goodnoise_dot_v1_dot_augment__pb2.SubmitJobRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_augment__pb2.SubmitJobResponse.FromString, _registered_method=True)
        self.GetJob = channel.unary_unary('/goodnoise.v1.AugmentService/GetJob', request_serializer=goodnoise_dot_v1_dot_augment__pb2.GetJobRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_augment__pb2.GetJobResponse.FromString, _registered_method=True)
        self.ListJobs = channel.unary_unary('/goodnoise.v1.AugmentService/ListJobs', request_serializer=goodnoise_dot_v1_dot_augment__pb2.ListJobsRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_augment__pb2.ListJobsResponse.FromString, _registered_method=True)
        self.WatchJob = channel.unary_stream('/goodnoise.v1.AugmentService/WatchJob', request_serializer=goodnoise_dot_v1_dot_augment__pb2.WatchJobRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_augment__pb2.WatchJobResponse.FromString, _registered_method=True)
        self.CancelJob = channel.unary_unary('/goodnoise.v1.AugmentService/CancelJob', request_serializer=goodnoise_dot_v1_dot_augment__pb2.CancelJobRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_augment__pb2.CancelJobResponse.FromString, _registered_method=True)
        self.DeleteJob = channel.unary_unary('/goodnoise.v1.AugmentService/DeleteJob', request_serializer=goodnoise_dot_v1_dot_augment__pb2.DeleteJobRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_augment__pb2.DeleteJobResponse.FromString, _registered_method=True)
        self.ListResults = channel.unary_unary('/goodnoise.v1.AugmentService/ListResults', request_serializer=goodnoise_dot_v1_dot_augment__pb2.ListResultsRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_augment__pb2.ListResultsResponse.FromString, _registered_method=True)
        self.FetchResults = channel.unary_stream('/goodnoise.v1.AugmentService/FetchResults', request_serializer=goodnoise_dot_v1_dot_augment__pb2.FetchResultsRequest.SerializeToString, response_deserializer=goodnoise_dot_v1_dot_augment__pb2.FetchResultsResponse.FromString, _registered_method=True)

class AugmentServiceServicer(object):
    """AugmentService runs jobs for their owners.

    Every call carries the owner's token as metadata, "authorization: Bearer TOKEN". Owners see their own jobs alone:
    those of others answer as those that do not exist. What an owner sends is stored for the server's user alone, is
    deleted with the job, and is in no log, metric or message to others.

    Every method: UNAUTHENTICATED: the token is missing or nobody's. INVALID_ARGUMENT names the field that is too long or
    holds what it may not. RESOURCE_EXHAUSTED: a quota, named in QuotaFailure, or too many calls; RetryInfo says how long
    to wait where that is known. DEADLINE_EXCEEDED: less than 5 ms were left, nothing was done. UNAVAILABLE: state cannot
    be reached, nothing was done.
    """

    def SubmitJob(self, request_iterator, context):
        """SubmitJob hands in a job: an order, then as many images as it says, or none where it names a dataset. A repeat with
        the same key gives the job of the first time, however that ended, and does not read the images again; so a call
        with an unclear end may be repeated. An upload that breaks off leaves nothing.

        NOT_FOUND: no such dataset. PERMISSION_DENIED: the dataset lies outside of what the operator allows.
        FAILED_PRECONDITION: the key is taken by another order, or the images are for validation or tests.
        RESOURCE_EXHAUSTED: too many jobs wait, the images are too many or too large, or the disk's share is full.
        DEADLINE_EXCEEDED: no image came for too long.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def GetJob(self, request, context):
        """GetJob tells how a job is.

        NOT_FOUND: no such job of this owner.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def ListJobs(self, request, context):
        """ListJobs lists the caller's jobs, the newest first.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def WatchJob(self, request, context):
        """WatchJob sends the job as it is, again after each change, and ends when the job has ended. Who reads slowly misses
        steps between, never the last one. Resume with the `revision` that came last.

        NOT_FOUND: no such job of this owner, also when it is deleted meanwhile.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def CancelJob(self, request, context):
        """CancelJob ends a job and deletes its files. Cancelling twice is no error.

        NOT_FOUND: no such job of this owner. FAILED_PRECONDITION: it has ended otherwise.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def DeleteJob(self, request, context):
        """DeleteJob ends a job, deletes its files, and forgets it; its key is free again.

        NOT_FOUND: no such job of this owner.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def ListResults(self, request, context):
        """ListResults lists the files that a job made, in a fixed order.

        NOT_FOUND: no such job of this owner. FAILED_PRECONDITION: it has not ended well, or has expired.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def FetchResults(self, request, context):
        """FetchResults streams files from a place on, in the order of ListResults. Resume with the number of the file that
        broke off, and with the bytes of it that arrived.

        NOT_FOUND: no such job of this owner. FAILED_PRECONDITION: it has not ended well, or has expired. OUT_OF_RANGE: no
        file has this number, or it is shorter than the offset. DATA_LOSS: a file is damaged on the server.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

def add_AugmentServiceServicer_to_server(servicer, server):
    rpc_method_handlers = {'SubmitJob': grpc.stream_unary_rpc_method_handler(servicer.SubmitJob, request_deserializer=goodnoise_dot_v1_dot_augment__pb2.SubmitJobRequest.FromString, response_serializer=goodnoise_dot_v1_dot_augment__pb2.SubmitJobResponse.SerializeToString), 'GetJob': grpc.unary_unary_rpc_method_handler(servicer.GetJob, request_deserializer=goodnoise_dot_v1_dot_augment__pb2.GetJobRequest.FromString, response_serializer=goodnoise_dot_v1_dot_augment__pb2.GetJobResponse.SerializeToString), 'ListJobs': grpc.unary_unary_rpc_method_handler(servicer.ListJobs, request_deserializer=goodnoise_dot_v1_dot_augment__pb2.ListJobsRequest.FromString, response_serializer=goodnoise_dot_v1_dot_augment__pb2.ListJobsResponse.SerializeToString), 'WatchJob': grpc.unary_stream_rpc_method_handler(servicer.WatchJob, request_deserializer=goodnoise_dot_v1_dot_augment__pb2.WatchJobRequest.FromString, response_serializer=goodnoise_dot_v1_dot_augment__pb2.WatchJobResponse.SerializeToString), 'CancelJob': grpc.unary_unary_rpc_method_handler(servicer.CancelJob, request_deserializer=goodnoise_dot_v1_dot_augment__pb2.CancelJobRequest.FromString, response_serializer=goodnoise_dot_v1_dot_augment__pb2.CancelJobResponse.SerializeToString), 'DeleteJob': grpc.unary_unary_rpc_method_handler(servicer.DeleteJob, request_deserializer=goodnoise_dot_v1_dot_augment__pb2.DeleteJobRequest.FromString, response_serializer=goodnoise_dot_v1_dot_augment__pb2.DeleteJobResponse.SerializeToString), 'ListResults': grpc.unary_unary_rpc_method_handler(servicer.ListResults, request_deserializer=goodnoise_dot_v1_dot_augment__pb2.ListResultsRequest.FromString, response_serializer=goodnoise_dot_v1_dot_augment__pb2.ListResultsResponse.SerializeToString), 'FetchResults': grpc.unary_stream_rpc_method_handler(servicer.FetchResults, request_deserializer=goodnoise_dot_v1_dot_augment__pb2.FetchResultsRequest.FromString, response_serializer=goodnoise_dot_v1_dot_augment__pb2.FetchResultsResponse.SerializeToString)}
    generic_handler = grpc.method_handlers_generic_handler('goodnoise.v1.AugmentService', rpc_method_handlers)
    server.add_generic_rpc_handlers((generic_handler,))
    server.add_registered_method_handlers('goodnoise.v1.AugmentService', rpc_method_handlers)

class AugmentService(object):
    """AugmentService runs jobs for their owners.

    Every call carries the owner's token as metadata, "authorization: Bearer TOKEN". Owners see their own jobs alone:
    those of others answer as those that do not exist. What an owner sends is stored for the server's user alone, is
    deleted with the job, and is in no log, metric or message to others.

    Every method: UNAUTHENTICATED: the token is missing or nobody's. INVALID_ARGUMENT names the field that is too long or
    holds what it may not. RESOURCE_EXHAUSTED: a quota, named in QuotaFailure, or too many calls; RetryInfo says how long
    to wait where that is known. DEADLINE_EXCEEDED: less than 5 ms were left, nothing was done. UNAVAILABLE: state cannot
    be reached, nothing was done.
    """

    @staticmethod
    def SubmitJob(request_iterator, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.stream_unary(request_iterator, target, '/goodnoise.v1.AugmentService/SubmitJob', goodnoise_dot_v1_dot_augment__pb2.SubmitJobRequest.SerializeToString, goodnoise_dot_v1_dot_augment__pb2.SubmitJobResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def GetJob(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.AugmentService/GetJob', goodnoise_dot_v1_dot_augment__pb2.GetJobRequest.SerializeToString, goodnoise_dot_v1_dot_augment__pb2.GetJobResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def ListJobs(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.AugmentService/ListJobs', goodnoise_dot_v1_dot_augment__pb2.ListJobsRequest.SerializeToString, goodnoise_dot_v1_dot_augment__pb2.ListJobsResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def WatchJob(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_stream(request, target, '/goodnoise.v1.AugmentService/WatchJob', goodnoise_dot_v1_dot_augment__pb2.WatchJobRequest.SerializeToString, goodnoise_dot_v1_dot_augment__pb2.WatchJobResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def CancelJob(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.AugmentService/CancelJob', goodnoise_dot_v1_dot_augment__pb2.CancelJobRequest.SerializeToString, goodnoise_dot_v1_dot_augment__pb2.CancelJobResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def DeleteJob(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.AugmentService/DeleteJob', goodnoise_dot_v1_dot_augment__pb2.DeleteJobRequest.SerializeToString, goodnoise_dot_v1_dot_augment__pb2.DeleteJobResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def ListResults(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/goodnoise.v1.AugmentService/ListResults', goodnoise_dot_v1_dot_augment__pb2.ListResultsRequest.SerializeToString, goodnoise_dot_v1_dot_augment__pb2.ListResultsResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def FetchResults(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_stream(request, target, '/goodnoise.v1.AugmentService/FetchResults', goodnoise_dot_v1_dot_augment__pb2.FetchResultsRequest.SerializeToString, goodnoise_dot_v1_dot_augment__pb2.FetchResultsResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)