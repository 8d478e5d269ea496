"""Caddy, the proxy before the web process: the release that the containers run.

`python -m devstack.caddy` installs it.
"""

import sys

from devstack.exceptions import GoProgramError
from devstack.go_programs import GoProgram

CADDY = GoProgram(name="caddy", package="github.com/caddyserver/caddy/v2/cmd/caddy", version="2.10.2")


def main() -> None:
    """Install it, or say why not."""
    try:
        print(CADDY.installed())
    except GoProgramError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
