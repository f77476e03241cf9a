#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Runs a command as a systemd unit would, without systemd: sandboxed.py UNIT UID COMMAND...
What a process can put on by itself is put on: user, no new privileges, no capabilities, the system call filter with the address
families, no memory that is writable and executable, limits, umask. What needs mounts (ProtectSystem and its like) is not.
"""
import configparser
import ctypes
import os
import resource
import socket
import subprocess
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 24, 38, 65
ALLOW, EPERM = 0x7FFF0000, 0x00050001
EQUAL = 4


class Comparison(ctypes.Structure):
    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("more", ctypes.c_uint64),
    ]


def read(path):
    """The [Service] section: key -> list of its values in order."""
    parser = configparser.RawConfigParser(strict=False, dict_type=Repeated)
    parser.optionxform = str
    parser.read(path, encoding="utf-8")
    return {key: value.split("\n") for key, value in parser.items("Service")}


class Repeated(dict):
    """Keys that come again add lines, instead of replacing what there was."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and key in self:
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def calls(group, known={}):
    """The system calls of a @group, by systemd's own list."""
    if group not in known:
        text = subprocess.run(
            ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
        ).stdout
        words = [
            word
            for line in text.splitlines()
            for word in line.split()
            if line.startswith(" ") and "#" not in line
        ]
        known[group] = set().union(
            *(calls(word) if word.startswith("@") else {word} for word in words)
        )
    return known[group]


def allowed(lines):
    """As systemd.exec(5) says: the first line decides what the list is, later ones add and take away."""
    names = set()
    for line in lines:
        words = line.lstrip("~").split()
        group = set().union(*(calls(word) if word.startswith("@") else {word} for word in words))
        names = names - group if line.startswith("~") else names | group
    # Always allowed by systemd, whatever the unit says.
    return names | calls("@default") | {"execve"}


def load_filter(service):
    lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(EPERM)))
    families = [getattr(socket, name) for name in service["RestrictAddressFamilies"][-1].split()]

    def allow(number, *comparisons):
        array = (Comparison * len(comparisons))(*comparisons)
        if (
            lib.seccomp_rule_add_array(
                context, ctypes.c_uint32(ALLOW), number, len(comparisons), array
            )
            != 0
        ):
            raise OSError("a rule of the system call filter cannot be added")

    for name in allowed(service["SystemCallFilter"]):
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue  # not on this architecture
        if name == "socket":
            for family in families:
                allow(number, Comparison(0, EQUAL, family, 0))
        else:
            allow(number)
    if lib.seccomp_load(context) != 0:
        raise OSError("the system call filter cannot be loaded")


def main():
    unit, uid, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    service = read(unit)
    libc = ctypes.CDLL(None, use_errno=True)
    files = int(service["LimitNOFILE"][-1])
    files = min(files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(int(service["UMask"][-1], 8))
    if os.geteuid() == 0:
        for capability in range(64):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError("no new privileges: refused")
    if service["MemoryDenyWriteExecute"][-1] == "yes":
        libc.prctl(PR_SET_MDWE, 1, 0, 0, 0)  # from Linux 6.3 on; before, this part is not tried
    load_filter(service)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
