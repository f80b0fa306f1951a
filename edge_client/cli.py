"""The `goodnoise` command."""

from __future__ import annotations

import io
import json
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from edge_client.exits import EXIT_HELP, Exit, exit_of_error
from shared.errors import Code, GoodnoiseError
from shared.levels.labels import ASKING, LEVEL_HELP, LEVELS, Level, level_label, level_named

__all__ = ["app", "main"]

app = typer.Typer(
    name="goodnoise",
    help="Protect photos: the same to people, no match to face recognisers. Photos never leave the device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bundle_app = typer.Typer(help="The bundle that is installed on this device.", no_args_is_help=True)
app.add_typer(bundle_app, name="bundle")

_err = Console(stderr=True)
# Where nobody's window decides, a table is as wide as it needs.
_out = Console(width=None if sys.stdout.isatty() else 132)

ADVICE = (
    "goodnoise: a face still matches its original at the largest change of this budget. Other photos of the "
    "owner help most (--album DIR); --budget strong goes on with changes that can be seen."
)

INTERRUPTED = "goodnoise: interrupted; what is done is kept, and the same command goes on from there"

Paths = Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option(
        "-o", "--out", help="Folder for the results; else beside each photo. What lies in it is no input."
    ),
]
AlbumOption = Annotated[
    Path | None,
    typer.Option("--album", help="Folder with other photos of the owner. They stay on this device."),
]
Cloud = Annotated[
    str | None,
    typer.Option("--cloud", envvar="GOODNOISE_CLOUD", help="host:port of the cloud to update from first."),
]
CaFile = Annotated[
    Path | None,
    typer.Option("--ca", envvar="GOODNOISE_CA", help="PEM file of the authority that the cloud's TLS uses."),
]
RootFile = Annotated[
    Path | None,
    typer.Option(
        "--root",
        envvar="GOODNOISE_ROOT",
        help="root.json of the cloud's operator, where trust begins; needed once, then remembered.",
    ),
]
Profile = Annotated[str, typer.Option("--profile", help="Which bundle: phone (15 MB) or full (40 MB).")]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON to standard output; progress goes to standard error.")
]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Threads for the networks; 0 for one a core.")]


@app.command(epilog=EXIT_HELP)
def protect(
    paths: Paths,
    out: Out = None,
    album: AlbumOption = None,
    cloud: Cloud = None,
    ca: CaFile = None,
    root: RootFile = None,
    budget: Annotated[
        str,
        typer.Option(
            help="auto; strong (may be seen); levels such as 8 (sign steps); PSNR over the face such as 36dB."
        ),
    ] = "auto",
    level: Annotated[str, typer.Option(help=LEVEL_HELP)] = "pull",
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="On one machine the same seed gives the same file (default 0). Where a cloud's answer is "
            "taken, leave it out: a cloud that knows the seed knows more of the noise.",
            show_default=False,
        ),
    ] = None,
    profile: Profile = "full",
    as_json: Json = False,
    report: Annotated[
        bool, typer.Option("--report", help="Leave a JSON report and a picture beside each result.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that something else wrote.")
    ] = False,
    keep_location: Annotated[
        bool, typer.Option("--keep-location", help="Keep the GPS position in the file.")
    ] = False,
    keep_serials: Annotated[
        bool, typer.Option("--keep-serials", help="Keep serial numbers in the file.")
    ] = False,
    strip_metadata: Annotated[bool, typer.Option("--strip-metadata", help="Remove all metadata.")] = False,
    threads: Threads = 0,
) -> None:
    """Protect photos. The originals are never changed."""
    from edge_client.album import read_album
    from edge_client.batch import Batch, find_photos, run_batch
    from edge_client.devicenets import load_nets
    from edge_client.exits import exit_of_results
    from edge_client.ladder import parse_budget
    from edge_client.photos import MetadataPolicy
    from edge_client.protect import ProtectOptions
    from edge_client.tables import results_table

    with _errors(as_json):
        policy = MetadataPolicy(
            keep_location=keep_location, keep_serials=keep_serials, strip_all=strip_metadata
        )
        options = ProtectOptions(parse_budget(budget), seed=seed or 0, policy=policy)
        items = find_photos(paths, out)
        chosen = _level(level, cloud)
        bundle, reachable = _bundle(cloud, chosen, profile, ca=ca, root=root)
        nets = load_nets(bundle, threads=threads)
        hints = None
        if chosen in ASKING:
            _err.print(
                f"goodnoise: {level_label(chosen, bundle.manifest.scores)}", markup=False, soft_wrap=True
            )
            hints = _hints(chosen, cloud, ca, nets, seed) if reachable else None
        owner = read_album(album, nets.recognisers, nets.detector) if album else None
        batch = Batch(nets, options, owner, with_report=report, overwrite=overwrite)
        batch = replace(batch, level=chosen, hints=hints)
        results, interrupted = _run(run_batch, items, batch)
        if as_json:
            photos = [_result_to_dict(result) for result in results]
            _print_json({"bundle": nets.version, "interrupted": interrupted, "photos": photos})
        else:
            _out.print(results_table(results, width=_out.width))
        for note in _hint_notes(results):
            _err.print(f"goodnoise: {note}", markup=False, highlight=False, soft_wrap=True)
        code = Exit.INTERRUPTED if interrupted else exit_of_results(results)
        if interrupted:
            _err.print(INTERRUPTED)
        if code is Exit.STILL_MATCHES and not as_json:
            _err.print(ADVICE)
    raise typer.Exit(code)


def _hints(level: Level, cloud: str | None, ca: Path | None, nets: Any, seed: int | None) -> Any:  # noqa: ANN401
    """What asks the cloud about each photo."""
    from edge_client.channel import Endpoint
    from edge_client.hints import CloudHints
    from edge_client.ledger import Ledger
    from edge_client.store import default_root

    endpoint = Endpoint(address=cloud or "", ca=str(ca) if ca else None)
    return CloudHints(level, endpoint, Ledger(default_root()), nets.surrogates, seed=seed)


def _hint_notes(results: list[Any]) -> list[str]:
    """Why photos went without a hint, each reason once with the number of photos."""
    hints = [result.report["hint"] for result in results if result.report and "hint" in result.report]
    missed = Counter(hint["note"] for hint in hints if hint["status"] in ("not asked", "failed"))
    return [f"{count} of {len(hints)} photos went without a hint: {note}" for note, count in missed.items()]


def _run(run_batch: Any, items: Any, batch: Any) -> tuple[list[Any], bool]:  # noqa: ANN401 - batch's types
    """Results as far as they came, and whether the user interrupted the run."""
    results: list[Any] = []
    with _bar(len(items)) as bar:
        try:
            for result in run_batch(items, batch, progress=bar.photo):
                results.append(result)
                bar.advance()
        except KeyboardInterrupt:
            return results, True
    return results, False


@app.command(epilog=EXIT_HELP)
def check(
    original: Annotated[Path, typer.Argument(help="The photo as it was.")],
    protected: Annotated[Path, typer.Argument(help="The protected photo.")],
    album: AlbumOption = None,
    as_json: Json = False,
    threads: Threads = 0,
) -> None:
    """Ask every recogniser of the installed bundle whether the two photos still match."""
    from edge_client.album import read_album
    from edge_client.devicenets import load_nets
    from edge_client.photos import read_photo
    from edge_client.protect import check_pair
    from edge_client.report import face_to_dict
    from edge_client.store import BundleStore
    from edge_client.tables import faces_table

    with _errors(as_json):
        nets = load_nets(BundleStore().current(), threads=threads)
        owner = read_album(album, nets.recognisers, nets.detector) if album else None
        reports = check_pair(read_photo(original), read_photo(protected), nets, album=owner)
        faces = [face_to_dict(face) for face in reports]
        safe = all(face.protected for face in reports)
        if as_json:
            _print_json({"protected": safe, "bundle": nets.version, "faces": faces})
        else:
            _out.print(faces_table(faces, width=_out.width))
    raise typer.Exit(Exit.PROTECTED if safe else Exit.STILL_MATCHES)


@app.command(epilog=EXIT_HELP)
def update(
    cloud: Annotated[str, typer.Option("--cloud", envvar="GOODNOISE_CLOUD", help="host:port of the cloud.")],
    ca: CaFile = None,
    root: RootFile = None,
    trust_first_root: Annotated[
        bool,
        typer.Option(
            "--trust-first-root",
            help="Without a root.json: believe this cloud's own, the first time. Compare what is printed.",
        ),
    ] = False,
    profile: Profile = "full",
    allow_rollback: Annotated[
        bool,
        typer.Option(
            "--allow-rollback",
            help="Accept a bundle made before one that was installed here. Signed metadata is never waived.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch the cloud's current bundle. Sends the installed one's version, names and hashes, nothing else."""
    from edge_client.store import BundleStore
    from edge_client.trust import fingerprint
    from edge_client.update import update as fetch

    with _errors(as_json):
        store = BundleStore()
        before = fingerprint(store)
        with _bar(1, what="bytes") as bar:
            result = fetch(
                cloud,
                store,
                profile=_profile(profile),
                ca=ca,
                root=_root(root),
                trust_first_root=trust_first_root,
                on_progress=bar.bytes,
                allow_rollback=allow_rollback,
            )
        if as_json:
            _print_json(
                {
                    "version": result.version,
                    "changed": result.changed,
                    "fetched_bytes": result.fetched_bytes,
                    "reused_bytes": result.reused_bytes,
                    "root": fingerprint(store),
                }
            )
        else:
            what = "installed" if result.changed else "already installed"
            _out.print(
                f"bundle {result.version} {what}: "
                f"{result.fetched_bytes} bytes fetched, {result.reused_bytes} reused"
            )
            if fingerprint(store) != before:
                _out.print(f"trusts root {fingerprint(store)} from now on", soft_wrap=True)


@bundle_app.command("show")
def bundle_show(as_json: Json = False) -> None:
    """What is installed: networks, roles, thresholds, licences, scores and age."""
    from edge_client.store import BundleStore
    from edge_client.tables import bundle_table
    from edge_client.trust import trust_lines
    from shared.bundle import manifest_to_json

    with _errors(as_json):
        store = BundleStore()
        bundle = store.current()
        if as_json:
            _print_json(json.loads(manifest_to_json(bundle.manifest)))
            return
        _out.print(bundle_table(bundle.manifest))
        for hint in bundle.manifest.hints:
            _out.print(f"hint {hint.name}: {hint.kind}, {hint.trained_on}", markup=False)
        for name, value in bundle.manifest.scores.items():
            if name != "leak":  # told below, level by level
                _out.print(f"score {name}: {value}", markup=False)
        if bundle.manifest.accepted_licences:
            _out.print(
                f"unclear licences accepted by the operator: {', '.join(bundle.manifest.accepted_licences)}"
            )
        _out.print(f"made {bundle.manifest.created}, {bundle.age.days} days old")
        for level in LEVELS:
            _out.print(level_label(level, bundle.manifest.scores), markup=False, soft_wrap=True)
        for line in trust_lines(store, bundle):
            _out.print(line, markup=False, soft_wrap=True)
        before = store.previous()
        if before is not None:
            _out.print(f"before it: bundle {before.manifest.version}; 'goodnoise bundle previous' goes back")


@bundle_app.command("previous")
def bundle_previous() -> None:
    """Go back to the bundle that was installed before; works offline. The next update goes forth again."""
    from edge_client.store import BundleStore

    with _errors(as_json=False):
        store = BundleStore()
        with store.locked():
            bundle = store.go_back()
        _out.print(f"bundle {bundle.manifest.version} installed, made {bundle.manifest.created}")


@bundle_app.command("install")
def bundle_install(
    folder: Annotated[Path, typer.Argument(help="Folder made by 'goodnoise-cloud bundle build --out'.")],
    profile: Profile = "full",
) -> None:
    """Install a bundle from a folder. Its origin is not proven: who names the folder vouches for it."""
    from edge_client.sideload import install_folder
    from edge_client.store import BundleStore

    with _errors(as_json=False):
        bundle = install_folder(folder, BundleStore(), profile=_profile(profile))
        _out.print(f"bundle {bundle.manifest.version} installed from {folder}", markup=False, soft_wrap=True)


@app.command()
def agent(
    listen: Annotated[str, typer.Option(help="unix:PATH, or a loopback address such as 127.0.0.1:7070.")],
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="On loopback: where to write the token that callers must send."),
    ] = None,
    ca: CaFile = None,
    root: RootFile = None,
    threads: Threads = 0,
) -> None:
    """Serve protect, check and update to apps on this device, over local gRPC."""
    from edge_client.agent.server import serve_agent

    def announce(text: str) -> None:
        _err.print(text, markup=False, highlight=False, soft_wrap=True)  # programs read the address

    with _errors(as_json=False):
        serve_agent(
            listen, token_file=token_file, threads=threads, ca=ca, root=_root(root), announce=announce
        )


def main() -> None:
    """Entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # The name of a file can hold what the terminal's encoding cannot.
            stream.reconfigure(errors="backslashreplace")
    app()


class _Bar:
    """Progress of a run; silent where nobody looks at it."""

    def __init__(self, progress: Progress, overall: TaskID, current: TaskID) -> None:
        self._progress, self._overall, self._current = progress, overall, current

    def photo(self, number: int, item: Any) -> Any:  # noqa: ANN401 - batch's types, imported on use
        from edge_client.tables import shown

        name = shown(item.source.name)

        def tell(stage: str, done: int, total: int) -> None:
            self._progress.update(
                self._current, description=f"{name}: {stage}", completed=done, total=max(total, 1)
            )

        return tell

    def bytes(self, done: int, total: int) -> None:
        self._progress.update(self._overall, completed=done, total=max(total, 1))

    def advance(self) -> None:
        self._progress.advance(self._overall)


@contextmanager
def _bar(total: int, *, what: str = "photos") -> Iterator[_Bar]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_err, disable=not _err.is_terminal) as progress:
        overall = progress.add_task(what, total=total)
        current = progress.add_task("", total=1, visible=what == "photos")
        yield _Bar(progress, overall, current)


@contextmanager
def _errors(as_json: bool) -> Iterator[None]:
    try:
        yield
    except GoodnoiseError as error:
        if as_json:
            _print_json({"error": {"code": str(error.code), "message": error.message}})
        message = "".join(letter if letter.isprintable() else "?" for letter in error.message)
        _err.print(f"goodnoise: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(exit_of_error(error)) from error
    except KeyboardInterrupt as error:
        if as_json:
            _print_json({"error": {"code": str(Code.CANCELLED), "message": INTERRUPTED}})
        _err.print(INTERRUPTED)
        raise typer.Exit(Exit.INTERRUPTED) from error
    except BrokenPipeError:
        raise  # nobody reads on
    except Exception as error:
        # Python's own exit code for a fault is 1, which here says that a face still matches.
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
        if as_json:
            _print_json({"error": {"code": str(Code.INTERNAL), "message": reason}})
        _err.print(f"goodnoise: a fault of this program ({reason}); report it", markup=False, highlight=False)
        raise typer.Exit(Exit.FAILED) from error


def _print_json(value: Any) -> None:  # noqa: ANN401 - any JSON
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def _result_to_dict(result: Any) -> dict[str, Any]:  # noqa: ANN401 - batch's Result, imported on use
    found: dict[str, Any] = {
        "source": str(result.source),
        "output": str(result.output) if result.output else None,
    }
    if result.error is not None:
        found["error"] = {"code": str(result.error.code), "message": result.error.message}
    if result.report is not None:
        found |= result.report
    found["resumed"] = result.resumed
    return found


def _root(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"cannot read --root {path}: {error.strerror}") from error


def _profile(text: str) -> Any:  # noqa: ANN401 - the literal type Profile
    if text not in ("phone", "full"):
        raise GoodnoiseError(Code.INVALID_INPUT, f"profile {text!r} is unknown; give phone or full")
    return text


def _level(text: str, cloud: str | None) -> Level:
    level = level_named(text)
    if level in ASKING and not cloud:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"level {level!r} asks a cloud; name one with --cloud HOST:PORT"
        )
    return level


def _bundle(  # its result is an InstalledBundle
    cloud: str | None, level: Level, profile: str, *, ca: Path | None, root: Path | None
) -> tuple[Any, bool]:
    """The bundle to work with, updated first where a cloud is named and may be contacted.

    The second value is False when that cloud could not be reached, so that nothing else is asked of it.
    """
    from edge_client.store import BundleStore
    from edge_client.update import update as fetch

    store = BundleStore()
    reachable = True
    if cloud and level != "off":
        try:
            fetch(cloud, store, profile=_profile(profile), ca=ca, root=_root(root))
        except GoodnoiseError as error:
            # What is installed works whatever is wrong with the cloud; a bad address is the user's to mend.
            if error.code is Code.INVALID_INPUT or store.usable() is None:
                raise
            _err.print(f"goodnoise: {error.message}", markup=False, highlight=False)
            age = store.current().age.days
            _err.print(f"goodnoise: working from the installed bundle, {age} days old")
            reachable = error.code not in (Code.UNAVAILABLE, Code.DEADLINE)
    elif level == "pull":
        _err.print("goodnoise: no cloud named; working from the installed bundle")
    return store.current(), reachable


if __name__ == "__main__":
    main()
