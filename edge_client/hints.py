"""Asking a cloud about a face at the levels `cluster`, `sketch` and `sign`.

What is sent is made here, from one face of a photo, with randomness that is drawn anew for each call, and
leaves through the payload types of `channel`. Each call has a connection of its own. The ledger is asked
first, and spends before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_client.advice import Advice, Answer, HintReport
from edge_client.channel import Cloud, ClusterPayload, Endpoint, SignPayload, SketchPayload
from edge_client.ledger import Ledger, SpentError
from edge_client.recognisers import GradientOracle, Recogniser
from shared.attack.keys import Keys
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Face
from shared.faces.frames import FRAMES, crop
from shared.levels.bits import pack_bits
from shared.levels.cluster import CLUSTER_EPSILON, CLUSTERS, cluster_of
from shared.levels.frame import RandomFrame, random_start
from shared.levels.labels import ASKING, SKETCH_CALL_EPSILON, Level
from shared.levels.response import fresh_generator, randomise_bits, randomise_choice
from shared.levels.signs import signs_of
from shared.levels.sketch import SKETCH_EPSILON, sketch_of
from shared.wire.levels import answer_levels

__all__ = ["CloudHints", "local_gradient"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

_FRAME = FRAMES["arcface112"]
# After one of these, asking about the next photo would spend its budget for nothing.
_HOPELESS = (Code.UNAVAILABLE, Code.DEADLINE, Code.PRECONDITION, Code.UNAUTHENTICATED, Code.PERMISSION)


@dataclass(frozen=True)
class _Sent:
    """How large what was sent is, its epsilon, and the answer in the plain frame."""

    size: int
    epsilon: float | None
    direction: Floats


class CloudHints:
    """Asks one cloud, at one level, about one face of each photo.

    Args:
        level: 'cluster', 'sketch' or 'sign'.
        endpoint: where the cloud is.
        ledger: the device's.
        surrogates: of the bundle; the first one in the frame 'arcface112' makes the gradient.
        seed: of the photos that take an answer; None draws one for each, as it should be where the result is
            published, since the cloud must not know it.
    """

    def __init__(
        self,
        level: Level,
        endpoint: Endpoint,
        ledger: Ledger,
        surrogates: tuple[Recogniser, ...],
        *,
        seed: int | None = None,
    ) -> None:
        if level not in ASKING:
            raise ValueError(f"level is {level!r}, expected one of {', '.join(ASKING)}")
        self._level: Level = level
        self._endpoint = endpoint
        self._ledger = ledger
        self._surrogates = surrogates
        self._seed = seed
        self._hopeless = ""

    def ask(self, pixels: Pixels, face: Face) -> Answer:
        """The cloud's answer about a face of a photo, uint8 H W 3, or why there is none."""
        if self._hopeless:
            return self._without("not asked", self._hopeless)
        try:
            photo = self._ledger.photo(pixels)
            sent = self._levels()[self._level](photo, pixels, face)
        except SpentError as error:
            return self._without("not asked", error.message)
        except GoodnoiseError as error:
            if error.code in _HOPELESS:
                self._hopeless = error.message
            return self._without("failed", error.message)
        seed = int(fresh_generator().integers(2**63)) if self._seed is None else self._seed
        report = HintReport(self._level, "asked", "", sent.size, sent.epsilon)
        return Answer(report, Advice(sent.direction, seed))

    def _levels(self) -> dict[Level, Callable[[bytes, Pixels, Face], _Sent]]:
        return {"cluster": self._cluster, "sketch": self._sketch, "sign": self._sign}

    def _cluster(self, photo: bytes, pixels: Pixels, face: Face) -> _Sent:
        def draw() -> int:
            truth = cluster_of(face.points(), _aligned(pixels, face))
            return randomise_choice(truth, CLUSTERS, epsilon=CLUSTER_EPSILON, rng=fresh_generator())

        payload = ClusterPayload(cluster=self._ledger.cluster(photo, draw))
        with Cloud(self._endpoint) as session:
            answer = session.cluster(payload)
        return _Sent(1, CLUSTER_EPSILON, _floats(answer.perturbation))

    def _sketch(self, photo: bytes, pixels: Pixels, face: Face) -> _Sent:
        rng = fresh_generator()
        gradient, frame = local_gradient(self._surrogate(), _aligned(pixels, face), rng)
        bits = randomise_bits(sketch_of(gradient), epsilon=SKETCH_EPSILON, rng=rng)
        payload = SketchPayload(bits=pack_bits(bits))
        self._ledger.sketch(photo)
        with Cloud(self._endpoint) as session:
            answer = session.sketch(payload)
        return _Sent(len(payload.bits), SKETCH_CALL_EPSILON, frame.undo(_floats(answer)))

    def _sign(self, photo: bytes, pixels: Pixels, face: Face) -> _Sent:
        gradient, frame = local_gradient(self._surrogate(), _aligned(pixels, face), fresh_generator())
        payload = SignPayload(signs=pack_bits(signs_of(gradient)))
        self._ledger.sign(photo)
        with Cloud(self._endpoint) as session:
            answer = session.sign(payload)
        return _Sent(len(payload.signs), None, frame.undo(_floats(answer)))

    def _surrogate(self) -> Recogniser:
        for surrogate in self._surrogates:
            if surrogate.frame == _FRAME:
                return surrogate
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"level {self._level!r} needs a surrogate in the frame {_FRAME.name!r}; the bundle has none",
        )

    def _without(self, status: Literal["failed", "not asked"], note: str) -> Answer:
        return Answer(HintReport(self._level, status, note))


def local_gradient(
    surrogate: Recogniser, face: Floats, rng: np.random.Generator
) -> tuple[Floats, RandomFrame]:
    """The gradient of a face's similarity to itself, away from it, at a random start in a random frame.

    Args:
        surrogate: in the frame 'arcface112'.
        face: aligned, float32 3 112 112 in [0,1].
        rng: fresh for each call.

    Returns:
        float32 3 112 112 in the random frame, and that frame.
    """
    frame = RandomFrame.draw(rng)
    image = frame.apply(random_start(face, rng))
    anchors = surrogate.embed(face[None])[:, None, :]
    oracle = GradientOracle(surrogate, anchors, np.full((1, 1), -1.0, np.float32))
    return np.asarray(oracle(image[None], Keys(0, (0,))).gradient[0], np.float32), frame


def _aligned(pixels: Pixels, face: Face) -> Floats:
    return np.asarray(crop(pixels, face.points(), _FRAME)[0], np.float32)


def _floats(content: bytes) -> Floats:
    return answer_levels(content).astype(np.float32) / np.float32(127.0)
