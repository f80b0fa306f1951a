"""The `goodnoise-cloud` command."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from cloud_server.augment.commands import app as augment_app
from cloud_server.augment.jobs.commands import PREFIX as AUGMENT
from cloud_server.augment.jobs.commands import app as owners_app
from cloud_server.bundles.commands import app as bundle_app
from cloud_server.captcha.commands import app as captcha_app
from cloud_server.captcha.places import PREFIX as CAPTCHA
from cloud_server.evaluation.app import app as evaluate_app
from cloud_server.exits import EXIT_HELP, Exit, command_errors
from cloud_server.hints.commands import app as hints_app
from cloud_server.paper.commands import app as paper_app
from cloud_server.rpc.augment.commands import serve as serve_augment
from cloud_server.rpc.augment.owner.commands import register as register_owner
from cloud_server.rpc.captcha.commands import serve as serve_captcha

__all__ = ["app", "main"]

app = typer.Typer(
    name="goodnoise-cloud",
    help="Publish bundles to devices, and serve them. It never sees a photo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(augment_app, name="augment")
app.add_typer(bundle_app, name="bundle")
app.add_typer(captcha_app, name="captcha")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(hints_app, name="hints")
app.add_typer(paper_app, name="paper")
# Behind the servicers no package knows gRPC, so the commands that serve and call are added here.
augment_app.add_typer(owners_app, name="owners")
augment_app.command("serve", epilog=EXIT_HELP, context_settings={"auto_envvar_prefix": AUGMENT})(
    serve_augment
)
register_owner(augment_app)
captcha_app.command("serve", epilog=EXIT_HELP, context_settings={"auto_envvar_prefix": CAPTCHA})(
    serve_captcha
)


@app.callback()
def main_options() -> None:
    """Publish bundles to devices, and serve them. It never sees a photo."""


@app.command(epilog=EXIT_HELP)
def serve(
    bundles: Annotated[
        Path | None, typer.Option(help="Folder of published bundles.", show_default=False)
    ] = None,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT (default 127.0.0.1:50051); port 0 for a free one.")
    ] = None,
    port_file: Annotated[
        Path | None, typer.Option(help="Write the bound port to this file once it serves.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    operator_listen: Annotated[
        str | None,
        typer.Option(help="HOST:PORT for operators: health and reflection, with mutual TLS."),
    ] = None,
    operator_ca: Annotated[
        Path | None, typer.Option(help="Authority of the operators' certificates, PEM.")
    ] = None,
    insecure: Annotated[
        bool | None,
        typer.Option("--insecure", help="Allow no TLS outside loopback, behind a proxy that ends it."),
    ] = None,
    reflection: Annotated[bool | None, typer.Option("--reflection", help="Offer gRPC reflection.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Serve Prometheus metrics on this loopback port.")
    ] = None,
    rate_per_minute: Annotated[
        int | None, typer.Option(help="Calls of one address a minute (default 600); 0 for no limit.")
    ] = None,
    max_concurrent: Annotated[int | None, typer.Option(help="Calls at a time (default 256).")] = None,
    drain_seconds: Annotated[
        float | None, typer.Option(help="Time between NOT_SERVING and the end of listening (default 0).")
    ] = None,
    grace_seconds: Annotated[
        float | None, typer.Option(help="Time that calls in flight get (default 10).")
    ] = None,
    cluster_hints: Annotated[
        Path | None,
        typer.Option(help="Folder of cluster-00.npy to cluster-15.npy, which answer level 'cluster'."),
    ] = None,
    ensemble: Annotated[
        list[str] | None,
        typer.Option(help="A recogniser that answers levels 'sketch' and 'sign'; repeat. Default: three."),
    ] = None,
    public_faces: Annotated[
        Path | None,
        typer.Option(help="Faces it is asked on: folder of photos, or .npz file of aligned faces."),
    ] = None,
    models: Annotated[Path | None, typer.Option(help="Folder of the zoo, for the ensemble.")] = None,
    waiting: Annotated[
        int | None, typer.Option(help="Calls that may wait for the ensemble (default 16).")
    ] = None,
) -> None:
    """Serve the published bundles until SIGTERM or SIGINT.

    Each option has a variable, such as GOODNOISE_CLOUD_LISTEN; a flag goes first. Levels 'sketch' and 'sign'
    are offered where --ensemble or --public-faces is given; without them no network is loaded.
    """
    from cloud_server.logs import configure_logs
    from cloud_server.rpc.server import serve as serve_forever
    from cloud_server.settings import load_settings

    flags = {**locals(), "ensemble": tuple(ensemble) if ensemble else None}
    with command_errors():
        settings = load_settings(flags, os.environ)
        configure_logs()
        asyncio.run(serve_forever(settings))


@app.command(epilog=EXIT_HELP)
def health(
    address: Annotated[str, typer.Argument(help="HOST:PORT of a server.")],
    service: Annotated[
        str, typer.Option(help="Service to ask about, such as goodnoise.v1.BundleService; empty for all.")
    ] = "",
    ca: Annotated[Path | None, typer.Option(help="Ask over TLS, and trust these certificates, PEM.")] = None,
    cert: Annotated[Path | None, typer.Option(help="An operator's certificate, PEM, with --key.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait.")] = 3.0,
) -> None:
    """Ask a server whether it serves (grpc.health.v1). Prints the answer as JSON."""
    from cloud_server.rpc.probe import probe
    from shared.errors import Code, GoodnoiseError

    with command_errors():
        if (cert is None) != (key is None):
            raise GoodnoiseError(Code.INVALID_INPUT, "--cert and --key belong together; give both or neither")
        pair = (cert, key) if cert and key else None
        answer = probe(address, service=service, ca=ca, timeout=timeout, certificate=pair)
        typer.echo(json.dumps({"address": address, "service": service, "status": answer}))
    raise typer.Exit(Exit.DONE if answer == "SERVING" else Exit.FAILED)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
