"""What the CAPTCHA service can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from limits import parse

from shared.errors import Code, GoodnoiseError

__all__ = ["CaptchaSettings", "LimitSettings", "Rates"]

_KEY_BYTES = 32
# A phone tries some 100,000 numbers a second, so this is ten minutes of it; nobody waits longer.
_MOST_BITS = 26


@dataclass(frozen=True, kw_only=True)
class CaptchaSettings:
    """Settings of `CaptchaDesk`.

    Args:
        key: the server's key, 32 bytes, of `keys.load_key`. All replicas have the same one.
        challenge_seconds: life of a challenge.
        token_seconds: life of a token.
        repeat_seconds: how long a verdict is told again to who asks with the same idempotency key.
        skew_seconds: how far clocks of replicas may differ; a token lives so much longer where clocks differ.
        work_bits: leading zero bits of a proof of work.
        audio_digits: digits of a sound.
        plays: sounds that one challenge gives; each has other noise, so many of them would average it away.
        retry_seconds: told to visitors when there is no image.
        test_keys: honour the test keys; never in production.
    """

    key: bytes = field(repr=False)
    challenge_seconds: float = 300.0
    token_seconds: float = 120.0
    repeat_seconds: float = 300.0
    skew_seconds: float = 5.0
    work_bits: int = 18
    audio_digits: int = 6
    plays: int = 8
    retry_seconds: float = 10.0
    test_keys: bool = False

    def __post_init__(self) -> None:
        if len(self.key) != _KEY_BYTES:
            raise _wrong(
                "key", f"has {len(self.key)} bytes", f"expected {_KEY_BYTES}, as `load_key` makes them"
            )
        ranges = {
            "challenge_seconds": (1, 86_400),
            "token_seconds": (1, 86_400),
            "repeat_seconds": (0, 86_400),
            "skew_seconds": (0, 300),
            "work_bits": (1, _MOST_BITS),
            "audio_digits": (4, 12),
            "plays": (1, 100),
            "retry_seconds": (0.1, 3600),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:  # also false for a number that is none
                raise _wrong(name, f"is {value}", f"expected {low} to {high}")


@dataclass(frozen=True)
class Rates:
    """How often something may happen, each such as `20/minute`; an empty text for no limit.

    Args:
        address: for one IPv4 address, or one IPv6 /64, which is what one subscriber has.
        subnet: for one IPv4 /24 or IPv6 /48; also for all whose address is unknown, together.
        site: for one site.
    """

    address: str = ""
    subnet: str = ""
    site: str = ""

    def __post_init__(self) -> None:
        for name in ("address", "subnet", "site"):
            text = getattr(self, name)
            try:
                _ = parse(text) if text else None
            except ValueError as error:
                raise _wrong(name, f"is {text!r}", "expected a rate such as 20/minute") from error


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """Limits of the service.

    Args:
        issue: of challenges.
        image: of images and sounds.
        answer: of answers.
        unsolved: of challenges that were not answered, or answered wrongly. Without it a program could fetch
            many and answer only those that it is sure of.
    """

    issue: Rates = Rates("20/minute", "300/minute", "60000/minute")
    image: Rates = Rates("60/minute", "900/minute", "180000/minute")
    answer: Rates = Rates("20/minute", "300/minute", "60000/minute")
    unsolved: Rates = Rates("100/hour", "1500/hour")

    @classmethod
    def off(cls) -> LimitSettings:
        """No limits, for where something else limits, and for measurements."""
        return cls(issue=Rates(), image=Rates(), answer=Rates(), unsolved=Rates())


def _wrong(name: str, found: str, advice: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"{name} {found}: {advice}")
