"""Start another program that ends with its parent and, if asked, does not run as root.

A script of its own, run as ``python -I -S launch.py PARENT SIGNAL IDENTITY PROGRAM ARGUMENT…``:
the kernel's calls for this work on the calling process only and must come between fork and exec,
where a process with threads must not run Python.

SIGNAL is sent by the kernel when PARENT ends, however it ends. IDENTITY is ``same``, ``mapped``
(a user namespace in which the process, root outside, is nobody: PostgreSQL refuses to run as
root, and files need no new owner), or ``UID:GID``, the account to change to.

Source: prctl(2) PR_SET_PDEATHSIG (a change of credentials clears it: hence the order here);
user_namespaces(7), "Defining user and group ID mappings".
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
NOBODY = 65534
CANNOT = 126
"""Exit status when the identity cannot be had, as a shell's for what cannot be executed."""


def map_to_nobody(libc: ctypes.CDLL) -> None:
    """Enter a user namespace in which this process runs as nobody."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1", encoding="ascii")


def change_to(identity: str) -> None:
    """Change to another account, for good."""
    user, _, group = identity.partition(":")
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))


def main(arguments: list[str]) -> int:
    """Start the program; returns an exit status only if that fails."""
    parent, death_signal, identity, *command = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if identity == "mapped":
            map_to_nobody(libc)
        elif identity != "same":
            change_to(identity)
    except OSError as error:
        sys.stderr.write(f"cannot run as another user: {error.strerror}\n")
        return CANNOT
    libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() == int(parent):  # else it ended before the kernel knew whom to tell
        os.execv(command[0], command)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
