"""What a process gives up before it reads files from outside: unbounded memory, and most system calls.

On Linux it can then open no file, make no connection, start no program and look into no other process; it
reads requests, computes and answers. Elsewhere, and where the kernel has no seccomp, limits alone hold.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 4, 38, 22, 2
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050001
"""Of seccomp(2): the call is made; the process ends; the call fails with EPERM."""
_LOAD, _EQUAL, _NOT_BELOW, _RETURN = 0x20, 0x15, 0x35, 0x06
"""Instructions of the filter (linux/bpf_common.h)."""
_X32 = 0x40000000
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_CALLS = {
    # Number on x86-64 and on AArch64; None where there is no such call.
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "lseek": (8, 62),
    "readv": (19, 65),
    "writev": (20, 66),
    "poll": (7, None),
    "ppoll": (271, 73),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "times": (100, 153),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}


def hide_process() -> None:
    """Let no other process of this account look into this one's memory or environment, and dump no core."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def enter_sandbox(memory: int) -> bool:
    """Give up what a reader of files needs no more; whether system calls are filtered now.

    Args:
        memory: bytes that may be taken beyond those that the process has already.
    """
    _limit(memory)
    hide_process()
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURES:
        return False
    libc = ctypes.CDLL(None)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    code = _filter(*_ARCHITECTURES[platform.machine()])
    instructions = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(instructions))
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, program, 0, 0) == 0)


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows, where the time limit has to do
        return
    taken = 0
    with suppress(OSError, ValueError):  # /proc is Linux's
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        taken = pages * resource.getpagesize()
    limits = {resource.RLIMIT_AS: taken + memory, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):  # macOS knows no limit of the address space
            resource.setrlimit(kind, (least, least))


def _filter(architecture: int, column: int) -> bytes:
    """The program of the filter (seccomp(2)): the calls of the list, of this architecture alone."""
    numbers = [row[column] for row in _CALLS.values() if row[column] is not None]
    left = len(numbers)
    steps = [
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # the number of the call
        (_NOT_BELOW, left, 0, _X32),  # x86-64's other numbers for the same calls
        *((_EQUAL, left - place, 0, number) for place, number in enumerate(numbers)),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
