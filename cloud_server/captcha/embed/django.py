"""A field for Django forms. Settings: `GOODNOISE_CAPTCHA_URL`, `..._SITE_KEY`, `..._SECRET`.

Optional settings: `..._VERIFY_URL` (where the site's server reaches the service, if not at the address that
browsers use), `..._TIMEOUT` (seconds), `..._HOSTNAMES`, `..._ALLOW_HTTP`, `..._FAIL_OPEN`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.template import Context, Engine
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from .verify import TOKEN_FIELDS, SecretRefusedError, Unverifiable, Verifier

__all__ = ["GoodnoiseField", "GoodnoiseWidget"]

_LOGGER = logging.getLogger("goodnoise.embed")
_PREFIX = "GOODNOISE_CAPTCHA_"
_TEMPLATE = """\
<div class="goodnoise" id="{{ id }}" data-sitekey="{{ site_key }}"\
{% for name, value in data.items %} data-{{ name }}="{{ value }}"{% endfor %}></div>
<script src="{{ url }}/api.js" async defer></script>
<noscript>
<iframe src="{{ url }}/fallback?k={{ site_key|urlencode:"" }}" title="CAPTCHA"\
 width="320" height="480"></iframe>
<label for="{{ id }}-token">{{ paste }}</label>
<textarea id="{{ id }}-token" name="goodnoise-response" rows="3" cols="40" required></textarea>
</noscript>
"""


class GoodnoiseWidget(forms.Widget):  # type: ignore[misc]
    """The challenge: a script that fills `div.goodnoise`, and a frame for browsers without JavaScript.

    Args:
        data: of the widget's options, such as `{"theme": "dark", "language": "de"}`.
        attrs: of Django; `id` is used.
    """

    paste = gettext_lazy("Paste the text that the frame shows when you have answered:")

    def __init__(self, data: Mapping[str, str] | None = None, attrs: Mapping[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.data = dict(data or {})

    def render(
        self, name: str, value: object, attrs: Mapping[str, Any] | None = None, renderer: object = None
    ) -> SafeString:
        """The HTML. A token is never written back: it is spent by the form that brought it."""
        context = {
            "id": self.build_attrs(self.attrs, attrs).get("id", f"id_{name}"),
            "url": _setting("URL").rstrip("/"),
            "site_key": _setting("SITE_KEY"),
            "data": self.data,
            "paste": self.paste,
        }
        # Of its own engine: no entry in INSTALLED_APPS is needed, and a site's settings change nothing.
        template = Engine().from_string(_TEMPLATE)
        return SafeString(template.render(Context(context)))

    def value_from_datadict(self, data: Mapping[str, str], files: object, name: str) -> str:
        """The token, under any of the names that the widget and its peers give it."""
        return next((data[field] for field in TOKEN_FIELDS if data.get(field)), "")

    def value_omitted_from_data(self, data: Mapping[str, str], files: object, name: str) -> bool:
        """Whether the form brought no token."""
        return not self.value_from_datadict(data, files, name)

    def id_for_label(self, id_: str) -> str:
        """None: a label would point at a `div`, and the widget names its own entry."""
        return ""


class GoodnoiseField(forms.Field):  # type: ignore[misc]
    """Valid when the visitor has solved the challenge.

    A token is spent by validation, whatever the other fields say: a form that is shown again asks again.

    Raises:
        ImproperlyConfigured: a setting is missing or wrong; at validation.
    """

    widget = GoodnoiseWidget
    default_error_messages = {  # noqa: RUF012 - Django's way
        "required": gettext_lazy("Please solve the CAPTCHA."),
        "captcha_invalid": gettext_lazy(
            "The CAPTCHA was not solved, or its answer has expired. Please try again."
        ),
        "captcha_unavailable": gettext_lazy(
            "The CAPTCHA cannot be checked now. Please try again in a moment."
        ),
    }

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - Django's own options
        if not kwargs.setdefault("required", True):
            raise ValueError("a CAPTCHA that is not required guards nothing; leave the field out instead")
        kwargs.setdefault("label", "CAPTCHA")
        super().__init__(**kwargs)

    def clean(self, value: object) -> bool:
        """True, for a good token."""
        token = value if isinstance(value, str) else ""
        if not token:
            raise ValidationError(self.error_messages["required"], code="required")
        try:
            result = _verifier().verify(token)
        except Unverifiable as error:
            return self._unverified(error)
        if not result.success:
            raise ValidationError(self.error_messages["captcha_invalid"], code="captcha_invalid")
        return True

    def _unverified(self, error: Unverifiable) -> bool:
        _LOGGER.warning("%s", error)
        if _setting("FAIL_OPEN", default=False) and not isinstance(error, SecretRefusedError):
            return True
        raise ValidationError(
            self.error_messages["captcha_unavailable"], code="captcha_unavailable"
        ) from error


def _verifier() -> Verifier:
    try:
        return Verifier(
            _setting("VERIFY_URL", default="") or _setting("URL"),
            _setting("SECRET"),
            timeout=float(_setting("TIMEOUT", default=5.0)),
            hostnames=tuple(_setting("HOSTNAMES", default=())),
            allow_http=bool(_setting("ALLOW_HTTP", default=False)),
        )
    except ValueError as error:
        raise ImproperlyConfigured(str(error)) from error


def _setting(name: str, **default: object) -> Any:  # noqa: ANN401 - as the site wrote it
    value = getattr(settings, _PREFIX + name, default.get("default"))
    if not default and not value:
        raise ImproperlyConfigured(
            f"the setting {_PREFIX}{name} is missing; the README of the service has the list"
        )
    return value
