"""Python as the shipped units confine it: the kernel refuses what systemd would have it refuse.

No systemd is started. The filter of system calls is made of the sets that the units name, by the
library that systemd makes its own with.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))
IS_KNOWN_HERE = (
    shutil.which("systemd-analyze") is not None
    and find_library("seccomp") is not None
    and platform.machine() == "x86_64"
)
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
_PROGRAM = """#!{python}
import ctypes, os, sys

ALLOW, REFUSE, EQUAL = 0x7FFF0000, 0x00050000 | 1, 4  # SCMP_ACT_ALLOW, …_ERRNO(EPERM), SCMP_CMP_EQ


class Compare(ctypes.Structure):
    _fields_ = [
        ("argument", ctypes.c_uint), ("how", ctypes.c_int),
        ("one", ctypes.c_uint64), ("other", ctypes.c_uint64),
    ]


library = ctypes.CDLL("{library}")
library.seccomp_init.restype = ctypes.c_void_p
held = ctypes.c_void_p(library.seccomp_init(REFUSE))
for name in {calls}:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number >= 0 and name != "socket":
        assert library.seccomp_rule_add(held, ALLOW, number, 0) == 0, name
for family in {families}:
    number = library.seccomp_syscall_resolve_name(b"socket")
    equal = Compare(0, EQUAL, family, 0)
    assert library.seccomp_rule_add_array(held, ALLOW, number, 1, ctypes.byref(equal)) == 0
assert library.seccomp_load(held) == 0
os.execv("{python}", ["{python}", *sys.argv[1:]])
"""


def python(folder: Path) -> Path:
    """A program in *folder* that is this Python, with what all of the units leave it."""
    calls = set.intersection(*(_calls_left_by(unit) for unit in UNITS))
    said = [_said(unit, "RestrictAddressFamilies") for unit in UNITS]
    families = set.intersection(*({name for line in lines for name in line} for lines in said))
    program = folder / "confined-python"
    text = _PROGRAM.format(
        python=sys.executable,
        library=find_library("seccomp"),
        calls=sorted(calls),
        families=sorted(_FAMILIES[family] for family in families),
    )
    program.write_text(text, encoding="utf-8")
    program.chmod(0o700)
    return program


def is_confined(pid: int) -> bool:
    """Whether the kernel filters the calls of a process."""
    return "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")


def _said(unit: Path, name: str) -> list[list[str]]:
    """The words of each line of a setting."""
    lines = re.findall(rf"^{name}=(.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    return [line.split() for line in lines]


def _calls_left_by(unit: Path) -> set[str]:
    left: set[str] = set()
    for first, *others in _said(unit, "SystemCallFilter"):
        groups = [first.removeprefix("~"), *others]
        named = {call for group in groups for call in _calls_of(group)}
        left = left - named if first.startswith("~") else left | named
    return left


def _calls_of(group: str) -> set[str]:
    """The calls of one of systemd's sets, with those of the sets in it."""
    asked = ["systemd-analyze", "syscall-filter", group]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    words = [line.partition("#")[0].strip() for line in said.splitlines()[1:]]
    names = {word for word in words if word}
    inner = (_calls_of(name) for name in names if name.startswith("@"))
    return {name for name in names if not name.startswith("@")}.union(*inner)
