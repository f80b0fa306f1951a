"""Forms of Flask-WTF and django-recaptcha, unmodified, before this service: only their settings name it."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SITES = Path(__file__).parent / "sites"
ACT = 30_000  # ms that one step may take on a busy machine


@contextmanager
def running(script: str, *arguments: str, **environment: str) -> Iterator[str]:
    """The address of a site in a process of its own."""
    command = [sys.executable, str(SITES / script), *arguments]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env={**os.environ, "NO_PROXY": "*", **environment}, **quiet) as process:
        try:
            port = process.stdout.readline().strip()
            assert port, f"{script} did not start"
            yield f"http://localhost:{port}/"
        finally:
            process.terminate()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    # The browser takes any certificate here; the site's server checks it.
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(ACT)
    yield context.new_page()
    context.close()


def answer(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Type the").fill(text)
    page.keyboard.press("Enter")


def sent(page: Page) -> str:
    page.get_by_role("button", name="Send").click()
    return page.get_by_role("heading").inner_text()


def replay(page: Page, url: str, token: str) -> str:
    page.goto(url)
    page.locator("[name=g-recaptcha-response]").wait_for(state="attached")
    page.evaluate("token => { document.querySelector('[name=g-recaptcha-response]').value = token; }", token)
    return sent(page)


def test_flask_wtf(page: Page, captcha_server: Callable[..., Any]) -> None:
    server = captcha_server(hostnames=("localhost",))
    server.fill("HEXAR")
    with running("flask_form.py", server.base, server.site_key, server.secret) as url:
        page.goto(url)
        assert sent(page) == "Sign up", "a form without an answer was taken"
        page.get_by_role("button", name="I am human").click()
        answer(page, "hexar")
        page.get_by_text("Confirmed").wait_for()
        token = page.locator("[name=g-recaptcha-response]").input_value()

        assert sent(page) == "Welcome"
        assert replay(page, url, token) == "Sign up"


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Path]:
    """Certificate and key of `localhost`, signed by itself, for this test alone."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "localhost.pem", tmp_path / "localhost.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return files


@pytest.mark.parametrize("widget", ["ReCaptchaV2Checkbox", "ReCaptchaV2Invisible", "ReCaptchaV3"])
def test_django_recaptcha(
    page: Page, captcha_server: Callable[..., Any], authority: tuple[Path, Path], widget: str
) -> None:
    server = captcha_server(hostnames=("localhost",), tls=authority)
    server.fill("HEXAR")
    service = server.base.replace("https://127.0.0.1", "localhost")
    arguments = (service, server.site_key, server.secret, widget)
    with running("django_form.py", *arguments, SSL_CERT_FILE=str(authority[0])) as url:
        page.goto(url)
        if widget == "ReCaptchaV2Checkbox":
            assert sent(page) == "Sign up", "a form without an answer was taken"
            page.get_by_role("button", name="I am human").click()
            answer(page, "hexar")
            page.get_by_text("Confirmed").wait_for()
            token = page.locator("[name=g-recaptcha-response]").input_value()
            assert sent(page) == "Welcome"
            assert replay(page, url, token) == "Sign up"
        else:
            page.get_by_role("button", name="Send").click()
            answer(page, "hexar")
            page.get_by_role("heading", name="Welcome").wait_for()
