"""Building a program with Go; the tests need none."""

from pathlib import Path

import pytest

from devstack.exceptions import GoProgramError
from devstack.go_programs import GoProgram

PROGRAM = GoProgram(name="answer", package="example.org/answers/cmd/answer", version="1.2.3")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and no Go; `put_go` puts one there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}")
    return tmp_path


def put_go(machine: Path, *, version: str, install: str) -> None:
    program = machine / "go"
    version_line = f'if [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit; fi'
    program.write_text(f"#!/bin/sh\n{version_line}\n{install}\n")
    program.chmod(0o755)


def test_without_go_the_remedy_is_told_and_nothing_is_installed(machine: Path) -> None:
    with pytest.raises(GoProgramError, match=r"^no go found; the first start builds answer: install Go 1\.23 or newer"):
        PROGRAM.installed()

    assert not PROGRAM.folder().exists()


@pytest.mark.parametrize("version", ["1.19.8", "1.22.12", "nonsense"])
def test_a_go_that_is_too_old_is_named_with_the_remedy(machine: Path, version: str) -> None:
    put_go(machine, version=version, install="exit 0")

    with pytest.raises(GoProgramError, match=r"/go is too old to build answer: install Go 1\.23 or newer"):
        PROGRAM.installed()

    assert not PROGRAM.folder().exists()


def test_a_failing_go_is_quoted_and_nothing_is_installed(machine: Path) -> None:
    put_go(machine, version="1.23.0", install="echo 'no route to host' >&2; exit 1")

    with pytest.raises(GoProgramError, match=r"^go could not build answer 1\.2\.3:\nno route to host$"):
        PROGRAM.installed()

    assert not PROGRAM.folder().exists()


def test_what_was_built_is_kept_and_not_built_again(machine: Path) -> None:
    put_go(machine, version="1.26.8", install='/bin/mkdir -p "$GOBIN"; echo "$@" > "$GOBIN/answer"')

    program = PROGRAM.installed()

    assert program == machine / "cache" / "tributary" / "answer-1.2.3" / "answer"
    assert program.read_text() == "install example.org/answers/cmd/answer@v1.2.3\n"
    (machine / "go").unlink()
    assert PROGRAM.installed() == program
    assert [path.name for path in program.parent.iterdir()] == ["answer"]
