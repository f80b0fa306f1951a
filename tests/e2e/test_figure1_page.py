"""The study's page in a real browser, opened as a file: answered by keys and buttons, saved, resumed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cloud_server.paper.figure1.settings import LETTERS
from cloud_server.paper.figure1.study.analysis import analyse, read_answers, read_key
from cloud_server.paper.figure1.study.kit import Pool, write_kit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit") / "study"
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 26, 8, 8), dtype=np.uint8)
    # One distortion of no level but 0: a page of 26 images.
    write_kit(Pool({"fgsm": images[:1]}, np.arange(26), "run"), folder, participants=1, seed=0)
    return folder


@pytest.fixture
def page(browser: Browser, kit: Path):
    context = browser.new_context(accept_downloads=True)
    made = context.new_page()
    made.goto((kit / "pages" / "p001.html").as_uri())
    yield made
    context.close()


def begin(page: Page) -> None:
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Start").click()


def right_letters(kit: Path) -> list[str]:
    images = json.loads(kit.with_name("study-key.json").read_text())["images"]
    listed = csv.DictReader((kit / "lists" / "p001.csv").read_text().splitlines())
    return [images[row["image"]]["letter"] for row in listed]


def saved(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the answers").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_answers_by_keyboard_become_a_file_that_the_analysis_reads(
    page: Page, kit: Path, tmp_path: Path
) -> None:
    assert page.get_by_role("button", name="Start").is_disabled()
    begin(page)
    assert page.get_by_role("status").inner_text() == "Image 1 of 26"
    letters = right_letters(kit)
    for letter in letters[:-1]:
        page.keyboard.press(letter.lower())
    page.keyboard.press("Space")
    path = saved(page, tmp_path)
    assert path.name == "answers-p001.csv"
    key = read_key(kit.with_name("study-key.json"))
    answers = read_answers([path], key)
    assert [answer.answer for answer in answers] == [*letters[:-1], ""]
    assert analyse(key, answers)["curves"]["fgsm"][0]["right"] == 25


def test_who_stops_goes_on_where_they_were_even_in_a_new_page(page: Page, kit: Path, tmp_path: Path) -> None:
    begin(page)
    page.get_by_role("button", name="Q", exact=True).click()
    page.get_by_role("button", name="I cannot tell").click()
    # Neither a shortcut nor a digit is an answer.
    page.keyboard.press("Control+b")
    page.keyboard.press("7")
    page.get_by_role("button", name="Stop and save").click()
    assert "2 of 26" in page.get_by_role("status").inner_text()
    rows = list(csv.DictReader(saved(page, tmp_path).read_text().splitlines()))
    assert [row["answer"] for row in rows] == ["Q", ""]
    other = page.context.new_page()
    other.goto(page.url)
    # The browser hands what a page keeps to others in its own time.
    other.wait_for_function("Object.values(localStorage).some(kept => JSON.parse(kept).length === 2)")
    other.reload()
    begin(other)
    assert other.get_by_role("status").inner_text() == "Image 3 of 26"


def test_the_page_says_nothing_to_the_net_and_has_no_violation_of_accessibility(page: Page) -> None:
    from axe_playwright_python.sync_playwright import Axe

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    axe = Axe()
    assert axe.run(page).violations_count == 0
    begin(page)
    assert axe.run(page).violations_count == 0
    assert page.get_by_role("group", name="Your answer").get_by_role("button").count() == len(LETTERS) + 1
    page.get_by_role("button", name="Stop and save").click()
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_snapshot()
    assert all(url.startswith("data:image/png") for url in asked)
