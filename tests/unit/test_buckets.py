import pytest

from cloud_server.rpc.buckets import TokenBuckets, address_key


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_passes_then_the_rate_holds():
    clock = Clock()
    buckets = TokenBuckets(capacity=3, per_second=0.5, clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]
    clock.now = 1.0
    assert buckets.take("a") == pytest.approx(1.0)  # a refused call costs nothing
    clock.now = 2.0
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0.0


def test_addresses_do_not_share_a_bucket():
    buckets = TokenBuckets(capacity=1, per_second=1, clock=Clock())
    assert (buckets.take("a"), buckets.take("b"), buckets.take("a")) == (0.0, 0.0, 1.0)


def test_an_address_is_forgotten_when_its_bucket_is_full_again():
    clock = Clock()
    buckets = TokenBuckets(capacity=2, per_second=1, clock=clock)
    buckets.take("a")
    clock.now = 10.0
    buckets.take("b")
    assert len(buckets) == 1


def test_the_memory_for_addresses_is_bounded():
    buckets = TokenBuckets(capacity=2, per_second=1, most=10, clock=Clock())
    for number in range(1000):
        buckets.take(str(number))
    assert len(buckets) == 10


def test_over_any_time_no_more_pass_than_burst_and_rate_allow(rng):
    clock = Clock()
    buckets = TokenBuckets(capacity=5, per_second=2, clock=clock)
    passed = 0
    for gap in rng.exponential(0.05, 2000):
        clock.now += gap
        passed += buckets.take("a") == 0.0
    assert passed <= 5 + 2 * clock.now
    assert passed >= 2 * clock.now - 1


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        ("ipv4:192.0.2.7:50000", "192.0.2.7"),
        ("ipv6:%5B2001:db8::17%5D:50000", "2001:db8::/64"),
        ("ipv6:[2001:db8::18]:50001", "2001:db8::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::/64"),
        ("unix:", "unix"),
        ("ipv4:nonsense", "ipv4"),
    ],
)
def test_the_key_is_the_address_without_its_port(peer, key):
    assert address_key(peer) == key


@pytest.mark.parametrize(("capacity", "per_second"), [(0, 1), (1, 0)])
def test_a_limit_that_lets_nothing_pass_is_a_mistake(capacity, per_second):
    with pytest.raises(ValueError, match="positive"):
        TokenBuckets(capacity=capacity, per_second=per_second)
