"""For sites: tokens of the CAPTCHA checked in ASGI and WSGI apps and in Django forms.

This folder needs the standard library, and Django for its form field; nothing else of the project. It may be
copied into a site as it is.
"""
