"""Tables, links and lists in the documents agree with the code."""

import re
import subprocess
from pathlib import Path

import pytest

from cli.markdown import ROOT, documents, links, table
from tidings.cli.commands import COMMAND_NAMES
from tidings.config import describe, load
from tidings.contract.errors import ERROR_MAPPINGS
from tidings.contract.gen.tidings.v1 import options_pb2
from tidings.contract.methods import METHOD_KINDS, PROTO_FILES, route_name

GUIDES = ROOT / "docs" / "guides"
ADR = ROOT / "docs" / "adr"


def test_the_protocol_guide_lists_every_route_as_the_contract_has_it() -> None:
    contract = [
        [
            route_name(service, method),
            METHOD_KINDS[method.client_streaming, method.server_streaming].value,
            f"{method.input_type.name} → {method.output_type.name}",
            options_pb2.Permission.Name(method.GetOptions().Extensions[options_pb2.permission]).lower(),
        ]
        for file in PROTO_FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]
    assert sorted(row[:4] for row in table(GUIDES / "protocol.md", "routes")) == sorted(contract)


def test_the_protocol_guide_lists_every_error_as_the_contract_has_it() -> None:
    contract = [[f"0x{code:X}", code.name, row.retry.value] for code, row in ERROR_MAPPINGS.items()]
    assert list(table(GUIDES / "protocol.md", "errors")) == contract


def test_the_limits_guide_says_the_defaults() -> None:
    settings = {row.name: row.value for row in describe(load(None, {}, {"auth.secret": "x" * 32}))}
    for name, value, _ in table(GUIDES / "limits.md", "limits"):
        assert settings[name] == value, name


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in links(document):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as the forges make them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_decision_is_in_the_index_with_its_own_title_date_author_status_and_tags() -> None:
    index = (ADR / "README.md").read_text()
    records = sorted(path for path in ADR.glob("*.md") if path.name != "README.md")
    numbers = [int(path.name[:4]) for path in records]
    assert len(set(numbers)) == len(numbers)
    for number, path in zip(numbers, records, strict=True):
        heading, _, record = path.read_text().splitlines()[:3]
        date, author, status, tags = record.split(" · ")
        title = heading.removeprefix(f"# {number}. ")
        assert f"| [{number}]({path.name}) | {title} | {date} | {author} | {status} | {tags} |" in index, path.name


def test_the_readme_and_the_changelog_know_every_command() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for name in COMMAND_NAMES:
        assert f"`{name}`" in changelog, name


def test_commands_named_in_the_documents_exist() -> None:
    for document in documents():
        named = set(re.findall(r"`(?:\.venv/bin/)?tidings ([a-z]+)", document.read_text()))
        assert named <= COMMAND_NAMES, document


def test_make_targets_named_in_the_documents_exist() -> None:
    makefiles = [ROOT / "Makefile", *ROOT.glob("clients/*/Makefile")]
    targets = {name for file in makefiles for name in re.findall(r"^([a-z]+):", file.read_text(), re.MULTILINE)}
    for document in documents():
        named = set(re.findall(r"\bmake ([a-z]+)`|^make ([a-z]+)", document.read_text(), re.MULTILINE))
        assert {name for pair in named for name in pair if name} <= targets, document


def test_the_architecture_page_names_every_folder_of_the_service() -> None:
    described = (ROOT / "ARCHITECTURE.md").read_text()
    service = ROOT / "service" / "tidings"
    for folder in service.iterdir():
        if folder.is_dir() and any(folder.iterdir()) and folder.name != "__pycache__":
            assert f"  {folder.name}/" in described, folder.name


NAMED_PATH = re.compile(r"`([\w./-]+\.(?:py|tsx?|proto|toml|txt|md)|[\w./-]+/)`")


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/glossary.md"])
def test_files_and_folders_named_in_a_document_exist(document: str) -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    known = {f"/{path.as_posix()}" for file in tracked for path in (Path(file), *Path(file).parents)}
    for name in NAMED_PATH.findall((ROOT / document).read_text()):
        assert any(path.endswith(f"/{name.rstrip('/')}") for path in known), name
