from collections import namedtuple

import grpc
import pytest

from cloud_server.rpc.interceptors import interceptors
from cloud_server.rpc.metrics import Metrics
from shared.errors import Code, GoodnoiseError

Details = namedtuple("Details", "method")


class Late:
    """A call's context that tells the time left only: no socket would carry a call as late as this."""

    def __init__(self, seconds):
        self.seconds = seconds

    def time_remaining(self):
        return self.seconds


async def answered(seconds, method="/goodnoise.v1.HintService/Catalogue"):
    async def behaviour(request, context):
        return "answer"

    async def continuation(details):
        return grpc.unary_unary_rpc_method_handler(behaviour)

    guard = interceptors(Metrics(), None)[-1]
    handler = await guard.intercept_service(continuation, Details(method))
    return await handler.unary_unary(b"", Late(seconds))


async def test_a_call_without_time_left_is_refused_before_the_work():
    with pytest.raises(GoodnoiseError) as caught:
        await answered(0.001)
    assert caught.value.code is Code.DEADLINE


@pytest.mark.parametrize("seconds", [None, 5.0])
async def test_a_call_with_time_or_without_a_deadline_is_answered(seconds):
    assert await answered(seconds) == "answer"


async def test_services_that_are_not_ours_pass_untouched():
    assert await answered(0.001, method="/grpc.health.v1.Health/Check") == "answer"
