"""A site made with Flask and Flask-WTF as they come.

`flask_form.py SERVICE SITE_KEY SECRET` prints its port.
"""

import secrets
import sys

from flask import Flask, render_template_string
from flask_wtf import FlaskForm, RecaptchaField
from werkzeug.serving import make_server
from wtforms import StringField

SERVICE, SITE_KEY, SECRET = sys.argv[1:]
PAGE = """<!doctype html><html lang="en"><title>Sign up</title><main><h1>Sign up</h1><form method="post">
{{ form.hidden_tag() }}{{ form.name.label }}{{ form.name }}{{ form.recaptcha }}<button>Send</button></form>
<p id="errors">{{ form.errors }}</p></main></html>"""

app = Flask(__name__)
app.config.update(
    SECRET_KEY=secrets.token_hex(),
    RECAPTCHA_PUBLIC_KEY=SITE_KEY,
    RECAPTCHA_PRIVATE_KEY=SECRET,
    RECAPTCHA_SCRIPT=f"{SERVICE}/recaptcha/api.js",
    RECAPTCHA_VERIFY_SERVER=f"{SERVICE}/recaptcha/api/siteverify",
)


class SignUp(FlaskForm):
    name = StringField("Name")
    recaptcha = RecaptchaField()


@app.route("/", methods=["GET", "POST"])
def sign_up() -> str:
    form = SignUp()
    if form.validate_on_submit():
        return '<!doctype html><html lang="en"><title>Done</title><h1>Welcome</h1></html>'
    return render_template_string(PAGE, form=form)


server = make_server("localhost", 0, app, threaded=True)
sys.stdout.write(f"{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
