"""The HTTP side of the CAPTCHA service: `siteverify`, the widget, its JSON API, and pages without script."""
