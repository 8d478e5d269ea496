"""Toxiproxy between clients and brokers: connections that are slow, silent or cut, at the word of a test.

`python -m devstack.toxiproxy` installs it.
"""

import json
import sys
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

from devstack.exceptions import GoProgramError, ToxiproxyError
from devstack.go_programs import GoProgram
from devstack.managed import Program
from devstack.ports import LOOPBACK, is_free

SERVER = GoProgram(name="toxiproxy", package="github.com/Shopify/toxiproxy/v2/cmd/server", version="2.12.0")
ANSWER_SECONDS = 10
DONE = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)


class Toxiproxy:
    """A server to be run by the process manager, and the proxies in it by name."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._proxies: dict[str, dict[str, str]] = {}

    def program(self, directory: Path) -> Program:
        """The server; restarted it would have forgotten its proxies, so it is not."""
        return Program(
            name="toxiproxy",
            command=(str(SERVER.installed()), "-host", LOOPBACK, "-port", str(self.port)),
            directory=directory,
            ready=lambda: not is_free(self.port),
            restarts=False,
        )

    def add(self, name: str, *, listen: int, upstream: int) -> None:
        """Pass connections from one loopback port on to another."""
        addresses = {"listen": f"{LOOPBACK}:{listen}", "upstream": f"{LOOPBACK}:{upstream}"}
        self._proxies[name] = {"name": name, **addresses}
        self._ask("POST", "/proxies", self._proxies[name])

    def cut(self, name: str) -> None:
        """Close every connection and accept no other."""
        self._ask("POST", f"/proxies/{name}", {"enabled": False})

    def slow_down(self, name: str, *, milliseconds: int) -> None:
        """Delay what goes to the broker and what comes from it by this much, give or take a half."""
        for stream in ("upstream", "downstream"):
            attributes = {"latency": milliseconds, "jitter": milliseconds // 2}
            self._add_toxic(name, stream, "latency", attributes)

    def silence(self, name: str) -> None:
        """Keep connections open and let nothing through, as a firewall that drops packets."""
        for stream in ("upstream", "downstream"):
            self._add_toxic(name, stream, "timeout", {"timeout": 0})

    def heal(self, name: str) -> None:
        """Make the proxy well again. Open connections are cut: a silenced one has lost bytes out of its middle.

        Toxiproxy can hang when it is asked to take a toxic away, so the proxy goes with all of them and comes back.
        """
        self._ask("DELETE", f"/proxies/{name}")
        self._ask("POST", "/proxies", self._proxies[name])

    def _add_toxic(self, name: str, stream: str, kind: str, attributes: dict[str, int]) -> None:
        toxic = {"name": f"{kind}-{stream}", "type": kind, "stream": stream, "attributes": attributes}
        self._ask("POST", f"/proxies/{name}/toxics", toxic)

    def _ask(self, method: str, path: str, body: object = None) -> None:
        connection = HTTPConnection(LOOPBACK, self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, json.dumps(body) if body else None)
            response = connection.getresponse()
            content = response.read().decode()
        except OSError as error:
            raise ToxiproxyError(f"Toxiproxy does not answer {method} {path}: {error}") from error
        finally:
            connection.close()
        if response.status not in DONE:
            raise ToxiproxyError(f"Toxiproxy refuses {method} {path}: {content}")


def main() -> None:
    try:
        print(SERVER.installed())
    except GoProgramError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
