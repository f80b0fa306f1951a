"""How the gate is run: sizes, seeds and who plays which part."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "LeakOptions"]


@dataclass(frozen=True, kw_only=True)
class LeakOptions:
    """Settings of a run; any of them decides the figures.

    Args:
        surrogate: whose gradients are sent; the first of a device's bundle.
        linked: whose embeddings the linkage attacker predicts.
        judges: who look at inverted faces; in no training.
        train_faces: at most so many faces to learn from; None for all.
        people: at most so many people to be tried on; None for all.
        photos: at most so many photos of a person beside the enrolled one.
        frames: gradients of each person's first photo, each at its own start and frame; 100 calls go round
            them.
        train_frames: gradients of each face that is learnt from.
        train_cloaks: faces to learn `x_adv - x` from; ten gradients each.
        cloaks: people whose photo is published with a cloak; likewise.
        redraws: how often the noise of each probe is drawn anew.
        map_epochs: passes of training on maps.
        bit_epochs: passes of training on bits.
        drawing_epochs: passes of training that draws faces from maps.
        seed: of everything.
    """

    surrogate: str = "mobilefacenet-512"
    linked: str = "sface"
    judges: tuple[str, ...] = ("mobilefacenet-192", "dlib-resnet")
    train_faces: int | None = None
    people: int | None = None
    photos: int = 8
    frames: int = 10
    train_frames: int = 3
    train_cloaks: int = 600
    cloaks: int = 300
    redraws: int = 8
    map_epochs: int = 8
    bit_epochs: int = 20
    drawing_epochs: int = 3
    seed: int = 0


FULL = LeakOptions()
# Too few people for a verdict to mean much: to see that all works.
QUICK = LeakOptions(
    train_faces=300,
    people=60,
    photos=3,
    frames=3,
    train_frames=2,
    train_cloaks=64,
    cloaks=40,
    map_epochs=4,
    drawing_epochs=2,
)
