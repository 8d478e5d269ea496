"""Become another program that cannot outlive the one that started it.

Run as a file (`python -I -S launch.py PARENT USER PROGRAM [ARGUMENT ...]`): only the standard library is at hand.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def give_up_root(user: str) -> None:
    """Go on as this user, with none of root's groups."""
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ["HOME"] = account.pw_dir


def die_with(parent: int) -> None:
    """Ask the kernel to terminate this process when its parent dies."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process manager is gone")


def main() -> None:
    parent, user, *command = sys.argv[1:]
    # The kernel forgets the death signal when the user changes, so the user comes first.
    if user:
        give_up_root(user)
    die_with(int(parent))
    try:
        os.execvp(command[0], command)  # noqa: S606 - becoming another program is the whole purpose
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
