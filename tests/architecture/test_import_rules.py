"""The house rules that no other tool watches, each named."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICE = ROOT / "service" / "tidings"
CLIENT = ROOT / "clients" / "python" / "tidings_client"
STANDARD_ONLY = ("protocols/rsocket", "hub")
FORBIDDEN_IN_ENGINE = {"asyncio", "socket", "time", "datetime", "logging", "threading", "selectors", "random"}


def sources(folder: Path) -> Iterator[Path]:
    """Python files written by hand."""
    return (path for path in sorted(folder.rglob("*.py")) if "gen" not in path.parts)


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("package", STANDARD_ONLY)
def test_the_engine_and_the_hub_use_the_standard_library_only(package: str) -> None:
    import sys

    for path in sources(SERVICE / package):
        for module in imports(path):
            root = module.split(".")[0]
            assert module.startswith("tidings." + package.replace("/", ".")) or root in sys.stdlib_module_names, (
                f"{path}: {module}"
            )


@pytest.mark.parametrize("package", STANDARD_ONLY)
def test_there_is_no_socket_clock_or_logger_in_the_engine_and_the_hub(package: str) -> None:
    for path in sources(SERVICE / package):
        assert not FORBIDDEN_IN_ENGINE & {module.split(".")[0] for module in imports(path)}, path


@pytest.mark.parametrize("package", STANDARD_ONLY)
def test_the_engine_and_the_hub_never_wait(package: str) -> None:
    # So nothing can come between what is read of their state and what is changed of it.
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    for path in sources(SERVICE / package):
        assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, waiting)], path


def test_stores_know_of_the_domain_its_ports_and_pure_functions_of_events_and_characters() -> None:
    for path in sources(SERVICE / "stores"):
        of_the_domain = {module for module in imports(path) if module.startswith("tidings.domain")}
        assert of_the_domain <= {
            f"tidings.domain.{name}"
            for name in ("ports.store", "messaging.message_state", "validation.characters", "validation.emoji")
        }, path


def test_the_domain_never_sees_json() -> None:
    for path in sources(SERVICE / "domain"):
        assert not {"json", "google.protobuf.json_format"} & set(imports(path)), path


def test_there_is_one_way_to_log() -> None:
    for path in sources(SERVICE):
        if path != SERVICE / "log.py":
            roots = {module.split(".")[0] for module in imports(path)}
            assert not {"logging", "structlog"} & roots, f"{path}: use tidings.log"


def log_calls(path: Path) -> Iterator[ast.Call]:
    """The lines that a file logs."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "log" and node.func.attr in LOG_METHODS:
                yield node


LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical", "warn_once_per_minute"}


def test_every_line_of_the_log_has_a_kind_so_that_its_number_is_limited() -> None:
    # Lines are counted by their first argument: one that has a value in it would be a kind of its own each time.
    for path in sources(SERVICE):
        for line in log_calls(path):
            kind = line.args[0]
            assert isinstance(kind, ast.Constant), f"{path}:{line.lineno}: the first argument is no literal"


def test_no_line_of_the_log_tells_an_exceptions_message_or_what_a_peer_sent() -> None:
    told = {"text", "token", "password", "data", "payload", "metadata", "query", "title", "body", "header", "headers"}
    for path in sources(SERVICE):
        for line in log_calls(path):
            for word in line.keywords:
                assert word.arg not in told, f"{path}:{line.lineno}: {word.arg} may be what a peer sent"
                if word.arg != "exc_info":
                    assert not variable_names(word.value) & EXCEPTION_NAMES, (
                        f"{path}:{line.lineno}: log exc_info, or error_summary() of it"
                    )


EXCEPTION_NAMES = {"error", "fault", "exc", "exception", "first", "second", "failure"}  # names of exceptions


def variable_names(value: ast.AST) -> set[str]:
    """The variables that a value is made of; but for those of which the log tells the `error_summary`, or one
    attribute."""
    if isinstance(value, ast.Name):
        return {value.id}
    if isinstance(value, ast.Attribute) or (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "error_summary"
    ):
        return set()
    return set().union(*map(variable_names, ast.iter_child_nodes(value)))


def test_no_file_is_named_after_nothing() -> None:
    vague = {"utils.py", "util.py", "helpers.py", "manager.py", "common.py", "misc.py"}
    assert not [path for folder in (SERVICE, CLIENT) for path in sources(folder) if path.name in vague]


def test_every_module_and_public_class_says_what_it_promises() -> None:
    for folder in (SERVICE, CLIENT):
        for path in sources(folder):
            tree = ast.parse(path.read_text())
            if tree.body:
                assert ast.get_docstring(tree), f"{path} opens without a docstring"
            for node in tree.body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
                    assert ast.get_docstring(node), f"{path}: {node.name} promises nothing"


def test_nothing_tracked_names_a_machine_path_or_a_package_index() -> None:
    # Written in halves, so that this file does not name what it forbids.
    words = ["files.python" + "hosted.org", "registry." + "npmjs.org", "/ro" + "ot/", "/wo" + "rk/"]
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in files.splitlines():
        path = ROOT / name
        if path.suffix in {".png", ".svg", ".binpb"} or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        assert not [word for word in words if word in text], name
