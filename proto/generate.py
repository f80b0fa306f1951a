"""Regenerate the checked-in stubs under shared/wire/goodnoise/v1 from the .proto files beside this script.

Runs in an environment of its own (`make proto`): grpcio-tools from requirements.txt beside this script, and
protoletariat, which makes the generated imports relative. Protoletariat is installed without its
dependencies, since it declares a protobuf older than it needs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PACKAGE = "goodnoise/v1"


def generate(out: Path, protol: str) -> None:
    """Write the stubs below `out`."""
    import grpc_tools
    from grpc_tools import protoc

    own = Path(grpc_tools.__file__).parent / "_proto"  # google/protobuf/timestamp.proto and the like
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / PACKAGE).glob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = str(Path(scratch) / "all.bin")
        arguments = [
            "protoc",
            f"-I{ROOT}",
            f"-I{own}",
            f"--python_out={out}",
            f"--pyi_out={out}",
            f"--grpc_python_out={out}",
            f"--descriptor_set_out={descriptors}",
            "--include_imports",
            *sources,
        ]
        if protoc.main(arguments) != 0:
            sys.exit("protoc failed")
        subprocess.run([protol, "--in-place", "--python-out", str(out), "raw", descriptors], check=True)  # noqa: S603
    for folder in (out / "goodnoise", out / PACKAGE):
        (folder / "__init__.py").write_text('"""Generated from proto/; run `make proto`."""\n')


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT.parent / "shared" / "wire")
    parser.add_argument("--protol", default="protol")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    generate(options.out, options.protol)


if __name__ == "__main__":
    main()
