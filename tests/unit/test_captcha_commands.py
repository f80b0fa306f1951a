"""`goodnoise-cloud captcha` as an operator types it: sites, pool, report."""

import json

import pytest
from typer.testing import CliRunner

from cloud_server.cli import app
from cloud_server.exits import Exit


@pytest.fixture
def captcha(tmp_path, monkeypatch):
    """`captcha(*arguments)`: runs one on a state of its own: exit code, JSON or text, errors."""
    monkeypatch.setenv("GOODNOISE_CAPTCHA_STATE", f"sqlite:{tmp_path / 'state.sqlite'}")

    def run(*arguments):
        done = CliRunner().invoke(app, ["captcha", *arguments])
        found = json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout
        return done.exit_code, found, done.stderr

    return run


def test_a_site_lives_its_life(captcha):
    code, made, _ = captcha(
        "sites", "add", "Shop", "--hostname", "shop.example", "--hostname", "*.shop.example"
    )
    assert code == 0
    secret = made.pop("secret")
    assert secret.startswith("gn_secret_")
    assert (made["name"], made["hostnames"], made["work_allowed"]) == (
        "Shop",
        ["shop.example", "*.shop.example"],
        True,
    )
    assert captcha("sites", "list")[1] == [made]
    _, rotated, _ = captcha("sites", "rotate", made["site_key"])
    assert rotated["secret"] != secret
    assert rotated["secrets"] == 2
    assert captcha("sites", "rotate", made["site_key"], "--end-old")[1]["secrets"] == 1
    assert captcha("sites", "disable", made["site_key"])[1]["disabled"] is True
    assert captcha("sites", "enable", made["site_key"])[1]["disabled"] is False
    assert captcha("sites", "remove", made["site_key"])[0] == 0
    assert captcha("sites", "list")[1] == []


def test_a_site_without_work(captcha):
    assert captcha("sites", "add", "--no-work")[1]["work_allowed"] is False


@pytest.mark.parametrize("command", ["rotate", "disable", "enable", "remove"])
def test_an_unknown_site_is_bad_input(captcha, command):
    code, _, error = captcha("sites", command, "gn_site_unknown")
    assert (code, "gn_site_unknown" in error) == (Exit.BAD_INPUT, True)


def test_what_is_no_hostname_is_named(captcha):
    code, _, error = captcha("sites", "add", "--hostname", "https://shop.example")
    assert (code, "https://shop.example" in error) == (Exit.BAD_INPUT, True)
    assert captcha("sites", "list")[1] == []


def test_an_empty_pool_has_no_image(captcha):
    assert captcha("depth")[1] == {"images": 0}


def test_a_report_is_published(captcha, tmp_path):
    path = tmp_path / "report.json"
    path.write_text('{"solvers": []}')
    assert captcha("publish", str(path))[1] == {"published": str(path), "bytes": 15}


@pytest.mark.parametrize("content", [None, "", "[]", "NaN", "{"])
def test_what_is_no_report_is_not_published(captcha, tmp_path, content):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    code, _, error = captcha("publish", str(path))
    assert (code, str(path) in error) == (Exit.BAD_INPUT, True)


@pytest.mark.parametrize("state", ["memory", "sqlite:", "redis", "postgres://user:hunter2@db"])
def test_an_address_that_is_none_is_refused_and_its_password_not_told(captcha, state):
    code, _, error = captcha("depth", "--state", state)
    assert (code, "sqlite:PATH" in error) == (Exit.BAD_INPUT, True)
    assert "hunter2" not in error


def test_an_unreachable_redis_is_told_as_such(captcha, tmp_path):
    code, _, _ = captcha("depth", "--state", f"unix://{tmp_path}/no.sock")
    assert code == Exit.UNREACHABLE
