"""A site made with Django and django-recaptcha as they come.

`django_form.py SERVICE SITE_KEY SECRET WIDGET` prints its port; SERVICE is HOST:PORT, asked by HTTPS, and
WIDGET one of django-recaptcha's.
"""

import secrets
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

SERVICE, SITE_KEY, SECRET, WIDGET = sys.argv[1:]
settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_recaptcha"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    RECAPTCHA_PUBLIC_KEY=SITE_KEY,
    RECAPTCHA_PRIVATE_KEY=SECRET,
    RECAPTCHA_DOMAIN=SERVICE,
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - Django wants its settings first
from django_recaptcha import widgets  # noqa: E402
from django_recaptcha.fields import ReCaptchaField  # noqa: E402

PAGE = """<!doctype html><html lang="en"><title>Sign up</title><main><h1>Sign up</h1><form method="post">
{% csrf_token %}{{ form.as_p }}<button>Send</button></form></main></html>"""


class SignUp(forms.Form):
    name = forms.CharField(initial="Ada")
    captcha = ReCaptchaField(widget=getattr(widgets, WIDGET)())


def sign_up(request: HttpRequest) -> HttpResponse:
    form = SignUp(request.POST or None)
    if form.is_valid():
        return HttpResponse('<!doctype html><html lang="en"><title>Done</title><h1>Welcome</h1></html>')
    return HttpResponse(engines["django"].from_string(PAGE).render({"form": form}, request))


urlpatterns = [path("", sign_up)]


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


server = make_server("localhost", 0, get_wsgi_application(), Threaded)
sys.stdout.write(f"{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
