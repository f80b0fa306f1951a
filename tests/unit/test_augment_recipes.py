"""The table of recipes: its rows stand for what they cite, and variants say what they changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_server.augment.recipes import RECIPES, Recipe, Size, recipe
from cloud_server.augment.types import Kind
from shared.attack.budgets import L2, Linf


def test_there_is_a_row_for_every_recipe_and_control():
    assert {"paper", "m2m", "d-rand", "d-det", "universal", "aeda"} <= set(RECIPES)
    controls = {row.control for row in RECIPES.values() if not row.surrogate}
    assert controls == {Kind.NOISE, Kind.UNPERTURBED, Kind.DUPLICATE}
    assert all(row.name == name and row.paper and row.convention for name, row in RECIPES.items())


def test_m2m_far_is_m2m_with_twice_the_radius_and_longer_steps():
    far, near = RECIPES["m2m-far"], RECIPES["m2m"]
    assert far.attack is not None
    assert near.attack is not None
    assert far.budget.radius == 2 * near.budget.radius
    assert far.attack.share * far.budget.radius == pytest.approx(0.2)
    assert far.attack.steps * 0.2 > far.budget.radius + far.start_noise - 1e-9
    gate = ("suppress", "confidence", "fallback", "parents", "loss", "beta")
    assert all(getattr(far, key) == getattr(near, key) for key in gate)


def test_m2m_is_noise_of_half_a_unit_then_ten_steps_of_a_tenth_that_nothing_cuts():
    m2m = RECIPES["m2m"]
    assert m2m.attack is not None
    assert m2m.start_noise == pytest.approx(0.5)
    assert m2m.attack.share * m2m.budget.radius == pytest.approx(0.1)
    assert m2m.budget.radius == pytest.approx(m2m.start_noise + m2m.attack.steps * 0.1)
    assert (m2m.suppress, m2m.confidence, m2m.fallback) == (0.5, 0.9, "duplicate")


@pytest.mark.parametrize("name", ["paper", "d-rand", "d-det"])
def test_ilyas_rows_take_a_hundred_steps_of_a_tenth_inside_half_a_unit(name: str):
    row = RECIPES[name]
    assert row.attack is not None
    assert (row.attack.steps, row.attack.rule, row.budget) == (100, "l2", Size("l2", 0.5))
    assert row.attack.share * row.budget.radius == pytest.approx(0.1)


def test_sizes_become_budgets_of_the_core():
    ball = Size("l2", 0.5).budget((3, 32, 32))
    box = Size("linf", 8).budget((3, 32, 32))
    assert isinstance(ball, L2)
    assert ball.cap_levels is None
    assert isinstance(box, Linf)
    assert box.levels == 8
    assert str(Size("l2", 0.5)) == "l2 0.5"


def test_a_variant_names_what_it_changed_and_has_another_digest():
    row = RECIPES["m2m"]
    variant = row.with_(steps=20).with_(radius=3.0, confidence=0.5)
    assert str(row) == "m2m/1"
    assert str(variant) == "m2m/1 confidence=0.5 radius=3.0 steps=20"
    assert variant.digest != row.digest
    assert row.with_() is row


def test_another_radius_scales_the_steps_unless_they_are_given():
    row = RECIPES["m2m"]
    scaled, fixed = row.with_(radius=3.0), row.with_(radius=3.0, step=0.1, start_noise=0.5)
    assert scaled.attack is not None
    assert scaled.attack.share * 3.0 == pytest.approx(0.2)
    assert fixed.attack is not None
    assert fixed.attack.share * 3.0 == pytest.approx(0.1)
    assert fixed.start_noise == pytest.approx(0.5)


def test_another_norm_changes_the_step_rule_with_it():
    variant = RECIPES["m2m"].with_(norm="linf", radius=8)
    assert variant.attack is not None
    assert variant.attack.rule == "sign"
    with pytest.raises(ValueError, match="norm 'linf' needs a radius"):
        RECIPES["m2m"].with_(norm="linf")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "no key 'colour'; known are norm, radius"),
        ({"confidence": 1.5}, "confidence must lie in 0 to 1, got 1.5"),
        ({"confidence": "high"}, "confidence must be a number, got 'high'"),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"steps": 0}, "steps must lie in 1 to 10000, got 0"),
        ({"tries": True}, "tries must be a whole number, got True"),
        ({"fallback": "cry"}, "fallback must be one of duplicate, keep, drop, got 'cry'"),
        ({"radius": -1}, "radius must lie in 0 to 1000, got -1"),
        ({"radius": float("nan")}, "radius must lie in"),
        ({"norm": "l1", "radius": 1}, "norm must be one of l2, linf, got 'l1'"),
        ({"norm": ["l2"]}, "norm must be one of"),
        ({"step": 9.0}, "step must lie in 0 to 1.5, got 9.0"),
        ({"radius": 0}, "radius must be above 0"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(changes: dict[str, object], message: str):
    with pytest.raises(ValueError, match="recipe 'm2m'") as caught:
        RECIPES["m2m"].with_(**changes)
    assert message in str(caught.value)


def test_a_control_has_no_use_for_steps():
    with pytest.raises(ValueError, match="recipe 'noise' attacks nothing: no use of steps 3"):
        RECIPES["noise"].with_(steps=3)
    assert RECIPES["noise"].with_(radius=1.0).budget.radius == 1.0


def test_a_row_of_ones_own_is_checked_too():
    with pytest.raises(ValueError, match="suppress must lie in 0 to 1000, got -1"):
        replace(RECIPES["m2m"], suppress=-1.0)
    own = Recipe("mine", "none", "none", None, Size("l2", 0.0), control=Kind.DUPLICATE)
    assert own.steps == 0
    assert not own.surrogate


def test_an_unknown_row_is_named_beside_those_there_are():
    assert recipe("m2m") is RECIPES["m2m"]
    with pytest.raises(ValueError, match="there is no 'm3m'; known are paper, m2m"):
        recipe("m3m")
