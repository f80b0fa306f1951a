"""`goodnoise-cloud` as a child that ends with its parent: `python -m cloud_server.captcha.fill_child ARGS`.

A parent that was killed cannot end its children. The system closes its end of their standard input, though,
and a thread here waits for that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

__all__ = ["main"]


def main() -> None:
    """Entry point."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from cloud_server.cli import app

    app(prog_name="goodnoise-cloud")


def _end_with_parent() -> None:
    # Not through `sys.stdin`, whose lock would be held when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
