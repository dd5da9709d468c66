"""The examples in the documents run: as they stand, but for the address of the service."""

import asyncio
import os
import re
import shutil
import signal
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from cli.command import TEST_TIMEOUT_SECONDS, TIDINGS, environment, next_line
from cli.markdown import ROOT, CodeBlock, blocks, documents
from service_runner import ServiceProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

INTEROP = ROOT / "tests" / "interop"
# rsocket-js 0.0.27 lies in a folder of its own, the newer line and everything else in the common one.
NODE_PATHS = {
    "rsocket-js 0.0.27": [INTEROP / "legacy" / "node_modules", INTEROP / "node_modules"],
    "rsocket-js 1.0.0-alpha.3": [INTEROP / "node_modules"],
}
# Examples that go on for ever, and what they print when they have done all there is.
ENDLESS = {
    "hello.py": ["Hello from Python"],
    "rsocket-js 0.0.27": ["sent as", "Hello from JavaScript"],
    "rsocket-js 1.0.0-alpha.3": ["sent as", "Hello from JavaScript"],
}
# Needs what browsers have; the browser client's own tests run it (clients/browser/tests/readme.test.ts).
IN_BROWSERS = "@tidings/client"
COMMAND = ".venv/bin/tidings"

# Without Node the JavaScript examples are left out, loudly; where CI is set they stay and fail.
HAS_NODE = bool(shutil.which("node") or os.environ.get("CI"))
if not HAS_NODE:
    warnings.warn("Node is not on the PATH: the JavaScript examples of the documents are left out", stacklevel=1)


class Example(NamedTuple):
    """A code block with a title, of a document."""

    document: Path
    block: CodeBlock

    def __str__(self) -> str:
        return f"{self.document.name}: {self.block.title}"


EXAMPLES = [Example(document, block) for document in documents() for block in blocks(document) if block.title]
PYTHON = [example for example in EXAMPLES if example.block.language == "python"]
JAVASCRIPT = [
    example
    for example in EXAMPLES
    if example.block.language == "js" and example.block.title != IN_BROWSERS and HAS_NODE
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    """A service for development, as a process of its own."""
    async with ServiceProcess(tmp_path_factory.mktemp("readme") / "data", environment=environment()) as service:
        yield service


def with_service_address(code: str, service: ServiceProcess) -> str:
    """The code with this service's addresses."""
    return code.replace("ws://127.0.0.1:7878/rsocket", service.ws_url).replace("tcp://127.0.0.1:7879", service.tcp_url)


async def run_example(title: str, *command: str, **variables: str) -> None:
    """Run it to its end, or until it has printed what shows that all of it works."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(**variables)
    )
    try:
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            if title in ENDLESS:
                missing = set(ENDLESS[title])
                while missing:
                    line = await next_line(process.stdout)
                    missing = {text for text in missing if text not in line}
                process.send_signal(signal.SIGINT)  # Ctrl-C ends it, and it says nothing of that
                await process.wait()
            else:
                out, err = await process.communicate()
                assert (process.returncode, err) == (0, b""), (out, err)
    finally:
        if process.returncode is None:
            process.kill()
        _, err = await process.communicate()
    assert not err, err


@pytest.mark.parametrize("example", PYTHON, ids=str)
async def test_a_python_example_runs(example: Example, service: ServiceProcess, tmp_path: Path) -> None:
    file = tmp_path / example.block.title
    file.write_text(with_service_address(example.block.code, service))
    await run_example(example.block.title, sys.executable, "-W", "error", str(file))


@pytest.mark.parametrize("example", JAVASCRIPT, ids=str)
async def test_a_javascript_example_runs(example: Example, service: ServiceProcess, tmp_path: Path) -> None:
    file = tmp_path / "example.cjs"
    file.write_text(with_service_address(example.block.code, service))
    paths = os.pathsep.join(map(str, NODE_PATHS[example.block.title]))
    await run_example(example.block.title, "node", str(file), NODE_PATH=paths)


@pytest.mark.parametrize("document", ["README.md", "docs/guides/getting-started.md"])
async def test_the_commands_of_a_document_run_in_its_order(
    document: str, service: ServiceProcess, tmp_path: Path
) -> None:
    code = "".join(block.code for block in blocks(ROOT / document) if block.language == "sh")
    commands = [line for line in code.splitlines() if COMMAND in line or line.startswith("printf ")]
    assert len(commands) >= 3
    (tmp_path / ".venv").symlink_to(TIDINGS.parents[1])
    env = environment(TIDINGS_URL=service.ws_url)
    for command in commands:
        process = await asyncio.create_subprocess_shell(
            f"exec {command}" if command.startswith(COMMAND) else command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env=env,
        )
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            if re.search(r"tidings tail", command):
                process.kill()
            out, err = await process.communicate()
        assert process.returncode in (0, -9), (command, out, err)
        assert b"error" not in err, (command, err)


async def test_the_settings_file_of_the_operating_guide_is_taken(tmp_path: Path) -> None:
    from tidings.config import load

    guide = blocks(ROOT / "docs" / "guides" / "operating.md")
    block, *additions = [block for block in guide if block.language == "toml"]
    file = tmp_path / block.title
    file.write_text(block.code)
    settings = load(file, {"TIDINGS_AUTH__SECRET": "x" * 32}, {})
    for addition in additions:
        (tmp_path / "addition.toml").write_text(addition.code)
        load(tmp_path / "addition.toml", {"TIDINGS_AUTH__SECRET": "x" * 32}, {})
    assert settings.tls.terminated_by_proxy
    assert settings.http.origins == ("https://chat.example.org",)
