"""A Django site with one form that holds a `GoodnoiseField`. Arguments: settings as JSON. Prints its port."""

import json
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings

settings.configure(
    SECRET_KEY="tests",  # noqa: S106
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    **json.loads(sys.argv[1]),
)

import django  # noqa: E402
from django import forms  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

from cloud_server.captcha.embed.django import GoodnoiseField, GoodnoiseWidget  # noqa: E402


class Contact(forms.Form):
    name = forms.CharField()
    captcha = GoodnoiseField(widget=GoodnoiseWidget({"theme": "dark", "language": 'd"e'}))


def contact(request):
    if request.method == "GET":
        return HttpResponse(Contact().as_p())
    form = Contact(request.POST)
    if form.is_valid():
        return JsonResponse({"sent": form.cleaned_data["name"], "captcha": form.cleaned_data["captcha"]})
    return JsonResponse(
        {"errors": form.errors.get_json_data(), "again": form.as_p(), "settings": "ok"}, status=400
    )


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


urlpatterns = [path("contact", contact)]

if __name__ == "__main__":
    django.setup()
    server = make_server("127.0.0.1", 0, get_wsgi_application(), server_class=Server, handler_class=Quiet)
    print(server.server_port, flush=True)  # noqa: T201
    server.serve_forever()
