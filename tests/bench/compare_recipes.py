"""What a challenge's settings are worth: strange solvers, a hardened reader and the gate, recipe by recipe.

    python tests/bench/compare_recipes.py [--images 96] [--seed 9] [--deployment 3]

Prints JSON, a row for each recipe: the share of images that the gate passes, and of what passed the shares of
texts and characters that ddddocr's two networks read at the best of the report's six preprocessings and at
the best of its stretchings, and that hardened readers read which were neither attacked nor asked by the gate.
'former' is as near to the recipe before the perturbing network as today's code comes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from cloud_server.captcha.challenges.fonts import choose_fonts
from cloud_server.captcha.challenges.gate import characters_read
from cloud_server.captcha.challenges.maker import load_maker
from cloud_server.captcha.challenges.recipe import REFINE, Recipe
from cloud_server.captcha.challenges.render import Style
from cloud_server.captcha.challenges.types import ALPHABET, Made
from cloud_server.captcha.report.preprocess import PREPROCESSINGS, STRETCHINGS, Preprocessing
from cloud_server.captcha.report.solvers import Solver, open_solvers
from models.text.readers import decode, load_reader

# Attacked in no step and asked by no gate.
HARDENED = ("attention-h3", "columns-h3")


def recipes(deployment: int) -> dict[str, Recipe]:
    """The rows."""
    shipped = Recipe(style=Style(fonts=choose_fonts(deployment)))
    calm = replace(shipped.style, clouds=9.0)
    return {
        "shipped": shipped,
        "grounds of even shade (clouds 9)": replace(shipped, style=calm),
        "fainter (contrast 44 to 54)": replace(shipped, style=replace(shipped.style, contrast=(44, 54))),
        "three steps of 0.3": replace(shipped, attack=replace(REFINE, steps=3, step_size=0.3)),
        "former (ten steps, no network)": replace(
            shipped, style=replace(shipped.style, contrast=(54, 64), clouds=10.0), start=False
        ),
    }


def row_of(recipe: Recipe, solvers: list[Solver], *, images: int, seed: int) -> dict[str, object]:
    """One recipe's figures."""
    made = load_maker(recipe).make(images, seed=seed)
    issued = [item for item in made if item.passed]
    found: dict[str, object] = {"passed": len(issued) / len(made), "issued": len(issued)}
    for solver in solvers:
        found[solver.name] = best_of(solver, issued, PREPROCESSINGS)
        found[f"{solver.name}, stretched"] = best_of(solver, issued, STRETCHINGS)
    return {**found, **{name: read_by(name, issued) for name in HARDENED}}


def best_of(solver: Solver, issued: list[Made], prepared: Mapping[str, Preprocessing]) -> dict[str, float]:
    """Shares read at the best preprocessing."""
    readings = [solver.read([prepare(item.attacked) for item in issued]) for prepare in prepared.values()]
    return max((shares(issued, texts) for texts in readings), key=lambda found: tuple(found.values()))


def read_by(name: str, issued: list[Made]) -> dict[str, float]:
    """Shares that a reader of the project reads."""
    batch = torch.from_numpy(np.stack([item.attacked for item in issued])[:, None].astype(np.float32) / 255)
    with torch.no_grad():
        return shares(issued, decode(load_reader(name, ALPHABET)(batch), ALPHABET))


def shares(issued: list[Made], texts: list[str]) -> dict[str, float]:
    """Of whole texts, and of characters after alignment."""
    pairs = [(item.rendered.text, text) for item, text in zip(issued, texts, strict=True)]
    return {
        "texts": round(float(np.mean([truth == text for truth, text in pairs])), 3),
        "characters": round(float(np.mean([characters_read(t, text) / len(t) for t, text in pairs])), 3),
    }


def main() -> None:
    """See the module."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--deployment", type=int, default=3)
    given = parser.parse_args()
    solvers, _ = open_solvers(("ddddocr", "ddddocr-old"))
    found = {
        name: row_of(recipe, solvers, images=given.images, seed=given.seed)
        for name, recipe in recipes(given.deployment).items()
    }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
