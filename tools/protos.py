"""Everything done to `protos/`: generate the code, check it, format it, freeze what was released.

python tools/protos.py generate   generate the code in service/tidings/contract/gen
python tools/protos.py check      lint; nothing broken since the release; generating would change nothing
python tools/protos.py format     buf's own layout
python tools/protos.py release    make today's protos the ones that later changes must not break
"""

import filecmp
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "service" / "tidings" / "contract" / "gen"
RELEASED = PROTOS / "released.binpb"
BIN = Path(sys.executable).parent
PACKAGE = "tidings.contract.gen.tidings"


def generate(into: Path = GENERATED) -> None:
    """Write messages and their types for every proto into `into`."""
    from grpc_tools import protoc

    into.mkdir(parents=True, exist_ok=True)
    for old in into.rglob("*_pb2.py*"):
        old.unlink()
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    include = Path(protoc.__file__).parent / "_proto"
    arguments = [
        "protoc",
        f"-I{PROTOS}",
        f"-I{include}",
        f"--plugin=protoc-gen-mypy={BIN / 'protoc-gen-mypy'}",
        f"--python_out={into}",
        f"--mypy_out=quiet:{into}",
        *files,
    ]
    if protoc.main(arguments) != 0:
        sys.exit("protoc refused the protos; its message is above")
    for path in into.rglob("*_pb2.py*"):
        # protoc writes imports from the root of the protos; here they live inside the package.
        text = re.sub(r"\b(from|import) tidings\b", rf"\1 {PACKAGE}", path.read_text())
        path.write_text(text)
    for folder in (into, into / "tidings", into / "tidings" / "v1"):
        (folder / "__init__.py").write_text("")


def check() -> None:
    """Exit non-zero when the protos are untidy, break the release, or differ from the generated code."""
    run_buf("lint", str(PROTOS))
    check_breaking(PROTOS)
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        stale = sorted(differing_files(Path(scratch), GENERATED))
    if stale:
        sys.exit(f"generated code is stale ({', '.join(stale)}); run: make protos")


def check_breaking(protos: Path) -> None:
    """Exit non-zero when the protos in a folder break those of the release."""
    run_buf("breaking", str(protos), "--against", str(RELEASED))


def differing_files(generated: Path, committed: Path) -> Iterator[str]:
    """The files that exist on one side only, or differ."""
    names = {str(p.relative_to(generated)) for p in generated.rglob("*.py*")} | {
        str(p.relative_to(committed)) for p in committed.rglob("*.py*") if "__pycache__" not in p.parts
    }
    for name in names:
        left, right = generated / name, committed / name
        if not (left.exists() and right.exists() and filecmp.cmp(left, right, shallow=False)):
            yield name


def format_protos() -> None:
    """Write the protos in buf's own layout."""
    run_buf("format", "-w", str(PROTOS))


def release() -> None:
    """Freeze today's protos as the ones that `check` compares with."""
    run_buf("build", str(PROTOS), "-o", str(RELEASED))


def run_buf(*arguments: str) -> None:
    """Run buf and stop with its own exit code if it complains."""
    result = subprocess.run([BIN / "buf", *arguments], cwd=ROOT, check=False)
    if result.returncode != 0:
        sys.exit(result.returncode)


COMMANDS = {"generate": generate, "check": check, "format": format_protos, "release": release}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]]()
