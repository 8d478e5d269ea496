"""Apache Kafka's jars: resolved once by Maven, checked against a committed list of hashes, kept in the user's cache.

`python -m devstack.kafka_jars` installs them; with `--lock` it writes devstack/kafka/jars.lock anew, after the version
in devstack/kafka/pom.xml was changed.
"""

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.exceptions import KafkaUnavailableError

FOLDER = Path(__file__).with_name("kafka")
POM = FOLDER / "pom.xml"
LOCK = FOLDER / "jars.lock"
OLDEST_JAVA = 17
JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    f"-Dlog4j2.configurationFile={FOLDER / 'log4j2.xml'}",
)
MAVEN_SECONDS = 900
LAST_LINES = 5


def java() -> str:
    """The Java to run Kafka with: JAVA_HOME's, otherwise the one on the path; 17 or newer."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    remedy = f"Apache Kafka needs Java {OLDEST_JAVA} or newer: install a JDK (Debian: apt install default-jdk-headless)"
    if program is None or not Path(program).exists():
        raise KafkaUnavailableError(f"no java found; {remedy}")
    result = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', result.stderr)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise KafkaUnavailableError(f"{program} is too old; {remedy}")
    return program


def java_command(main_class: str, *arguments: str) -> tuple[str, ...]:
    """Run one of Kafka's classes."""
    return (java(), *JAVA_OPTIONS, "-cp", f"{installed_jars()}/*", main_class, *arguments)


def version() -> str:
    """The Kafka version that pom.xml pins."""
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
    if found is None:
        raise KafkaUnavailableError(f"{POM} names no kafka.version")
    return found[1]


def cache_folder() -> Path:
    """Where the jars of this version are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tributary" / f"kafka-{version()}"


def installed_jars() -> Path:
    """The folder with the jars, filled on first use; every hash was checked when it was filled."""
    folder = cache_folder()
    if is_current(folder):
        return folder / "libs"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with sole_installer(folder):
        if not is_current(folder):
            install(folder)
    return folder / "libs"


def is_current(folder: Path) -> bool:
    """Whether this folder was filled and checked against today's list."""
    copy = folder / LOCK.name
    return copy.exists() and copy.read_bytes() == LOCK.read_bytes()


@contextmanager
def sole_installer(folder: Path) -> Iterator[None]:
    """Let one process at a time fill the folder."""
    with folder.with_suffix(f"{folder.suffix}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(folder: Path) -> None:
    """Resolve into a folder beside it, check every jar, then take the final name in one step."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as temporary:
        fresh = Path(temporary) / "fresh"
        resolve(fresh / "libs")
        check(hashes(fresh / "libs"), read_lock())
        shutil.copy(LOCK, fresh)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)


def resolve(libs: Path) -> None:
    """Let Maven fetch every jar that pom.xml asks for."""
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailableError(
            "no mvn found; the first start fetches Apache Kafka with Maven: install it (Debian: apt install maven)"
        )
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={libs}"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MAVEN_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise KafkaUnavailableError(f"mvn did not fetch Apache Kafka in {MAVEN_SECONDS} s") from error
    if result.returncode != 0:
        errors = [line for line in result.stdout.splitlines() if "ERROR" in line][:LAST_LINES]
        raise KafkaUnavailableError("\n".join([f"mvn could not fetch Apache Kafka {version()}:", *errors]))


def hashes(libs: Path) -> dict[str, str]:
    """The SHA-256 of every jar by its name."""
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in sorted(libs.glob("*.jar"))}


def read_lock() -> dict[str, str]:
    """The committed list."""
    return dict(line.split() for line in LOCK.read_text().splitlines())


def check(found: dict[str, str], expected: dict[str, str]) -> None:
    """Refuse jars that are missing, unknown or not what they were."""
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if wrong:
        raise KafkaUnavailableError(f"these jars differ from {LOCK.name}: {', '.join(wrong)}")


def write_lock() -> None:
    """Resolve anew and write down what came."""
    with tempfile.TemporaryDirectory() as temporary:
        libs = Path(temporary) / "libs"
        resolve(libs)
        LOCK.write_text("".join(f"{name} {sha256}\n" for name, sha256 in hashes(libs).items()))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m devstack.kafka_jars", description="Fetch Apache Kafka's jars.")
    parser.add_argument("--lock", action="store_true", help="write jars.lock from what Maven resolves today")
    try:
        if parser.parse_args().lock:
            write_lock()
        print(installed_jars())
    except KafkaUnavailableError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
