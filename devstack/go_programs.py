"""Programs written in Go: built once from a module of a pinned version, whose hash Go checks, and kept in the cache."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devstack.exceptions import GoProgramError

OLDEST_GO = (1, 23)
REMEDY = "install Go 1.23 or newer (https://go.dev/dl; the one of an older Debian is too old)"
BUILD_SECONDS = 900
LAST_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class GoProgram:
    """What is built: `package` is the folder of the main package in its module."""

    name: str
    package: str
    version: str

    def folder(self) -> Path:
        """Where the program of this version is kept."""
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "tributary" / f"{self.name}-{self.version}"

    def installed(self) -> Path:
        """The program, built on first use; raises GoProgramError."""
        program = self.folder() / self.package.rpartition("/")[2]
        if program.exists():
            return program
        command = [self._go(), "install", f"{self.package}@v{self.version}"]
        fresh = program.with_name(f"fresh-{os.getpid()}")
        try:
            result = subprocess.run(
                command,
                env={**os.environ, "GOBIN": str(fresh)},
                capture_output=True,
                text=True,
                check=False,
                timeout=BUILD_SECONDS,
            )
            if result.returncode != 0:
                last = result.stderr.splitlines()[-LAST_LINES:]
                raise GoProgramError("\n".join([f"go could not build {self.name} {self.version}:", *last]))
            (fresh / program.name).replace(program)  # in one step: another process may be installing it too
        except subprocess.TimeoutExpired as error:
            raise GoProgramError(f"go did not build {self.name} in {BUILD_SECONDS} s") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return program

    def _go(self) -> str:
        go = shutil.which("go")
        if go is None:
            raise GoProgramError(f"no go found; the first start builds {self.name}: {REMEDY}")
        told = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"\bgo(\d+)\.(\d+)", told)
        if version is None or (int(version[1]), int(version[2])) < OLDEST_GO:
            raise GoProgramError(f"{go} is too old to build {self.name}: {REMEDY}")
        return go
