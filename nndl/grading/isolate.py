"""What a process gives up before it runs a stranger's code.

Runs inside the outer wall (bubblewrap), in the fork for one hand-in. Each hand-in gets namespaces
of its own, so that it can neither see nor signal another, and whatever it starts dies with it.
Linux only; no library wraps these calls, hence ctypes.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from dataclasses import dataclass

__all__ = ["Limits", "become_nobody", "drop_privileges", "limit", "own_namespaces"]

_libc = ctypes.CDLL(None, use_errno=True)

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
_NAMESPACES = _NEWNS | _NEWUTS | _NEWIPC | _NEWUSER | _NEWPID | _NEWNET
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38
_LAST_CAPABILITY = 63

# System calls that a lab never makes: processes, namespaces, mounts, other processes' memory, the
# kernel's own affairs. A limit on processes would not hold for root. The numbers are
# those of <asm/unistd.h>.
_REFUSED = {
    "x86_64": {
        "fork": 57, "vfork": 58, "ptrace": 101, "chroot": 161, "mount": 165, "umount2": 166,
        "reboot": 169, "pivot_root": 155, "init_module": 175, "delete_module": 176,
        "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298,
        "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
        "finit_module": 313, "bpf": 321, "userfaultfd": 323, "open_tree": 428, "move_mount": 429,
        "fsopen": 430, "fsmount": 432, "io_uring_setup": 425, "pidfd_getfd": 438,
        "mount_setattr": 442,
    },
    "aarch64": {
        "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "unshare": 97,
        "init_module": 105, "delete_module": 106, "ptrace": 117, "reboot": 142, "add_key": 217,
        "request_key": 218, "keyctl": 219, "perf_event_open": 241, "open_by_handle_at": 265,
        "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273,
        "bpf": 280, "userfaultfd": 282, "open_tree": 428, "move_mount": 429, "fsopen": 430,
        "fsmount": 432, "io_uring_setup": 425, "pidfd_getfd": 438, "mount_setattr": 442,
    },
}  # fmt: skip
# Without namespaces of its own, a hand-in could signal any process of the user's (kill(-1, 9) ends
# them all), and reach the network.
_REFUSED_OUTSIDE = {
    "x86_64": {
        "socket": 41, "kill": 62, "rt_sigqueueinfo": 129, "tkill": 200, "tgkill": 234,
        "rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424,
    },
    "aarch64": {
        "kill": 129, "tkill": 130, "tgkill": 131, "rt_sigqueueinfo": 138, "socket": 198,
        "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424,
    },
}  # fmt: skip
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3, _THREAD = 435, 0x00010000
_EPERM, _ENOSYS = 1, 38
_NOBODY = 65534


@dataclass(frozen=True)
class Limits:
    """What one hand-in may use.

    Attributes
    ----------
    memory
        Address space in bytes.
    processor
        Seconds of processor time.
    file
        Bytes of a file that it writes, its output included.
    """

    memory: int = 4 << 30
    processor: int = 60
    file: int = 1 << 20


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def own_namespaces() -> None:
    """Continue in a new process with namespaces of its own; the present one waits for it and ends.

    In there it is process 1, with an empty ``/tmp``, no ``/proc`` and no network.
    """
    user, group = os.getuid(), os.getgid()
    _check(_libc.unshare(_NAMESPACES))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    for place, options in (
        (b"/tmp", b"size=64m"),
        (b"/proc", b"size=4k"),
        (b"/dev/shm", b"size=64m"),
    ):
        if os.path.isdir(place):
            _check(_libc.mount(b"tmpfs", place, b"tmpfs", 0, options))


def become_nobody() -> None:
    """Give up being root, as in a container: what is root's alone cannot be read any more."""
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def limit(limits: Limits) -> None:
    """Set limits that the process cannot raise again."""
    for what, most in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_CPU, limits.processor),
        (resource.RLIMIT_FSIZE, limits.file),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def drop_privileges(*, apart: bool) -> None:
    """Give up every capability for good, and the system calls that a lab never makes.

    Parameters
    ----------
    apart
        Whether the process has namespaces of its own. If not, it may send no signals, and open no
        sockets either.
    """
    for capability in range(_LAST_CAPABILITY):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = struct.pack("Ii", 0x20080522, 0)
    _check(_libc.capset(header, bytes(24)))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    machine = platform.machine()
    if machine in _REFUSED:
        refused = {**_REFUSED[machine], **({} if apart else _REFUSED_OUTSIDE[machine])}
        _install(_filter(machine, list(refused.values())))


def _filter(machine: str, refused: list[int]) -> bytes:
    """Return a program for the kernel's filter (classic BPF) that refuses the calls."""

    def instruction(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    load, equal, common, ret = 0x20, 0x15, 0x45, 0x06
    allow, kill = 0x7FFF0000, 0x80000000
    eperm, enosys = 0x00050000 | _EPERM, 0x00050000 | _ENOSYS
    program = [
        instruction(load, 0, 0, 4),  # the architecture
        instruction(equal, 1, 0, _AUDIT[machine]),
        instruction(ret, 0, 0, kill),
        instruction(load, 0, 0, 0),  # the number of the call
        # Threads by clone, but no processes and no namespaces: its flags are the first argument.
        # clone3 hides them in memory; without it, the C library takes clone.
        instruction(equal, 0, 5, _CLONE[machine]),
        instruction(load, 0, 0, 16),
        instruction(common, 2, 0, _NAMESPACES),
        instruction(common, 0, 1, _THREAD),
        instruction(ret, 0, 0, allow),
        instruction(ret, 0, 0, eperm),
        instruction(equal, 0, 1, _CLONE3),
        instruction(ret, 0, 0, enosys),
    ]
    for number in refused:
        program += [instruction(equal, 0, 1, number), instruction(ret, 0, 0, eperm)]
    return b"".join([*program, instruction(ret, 0, 0, allow)])


def _install(program: bytes) -> None:
    memory = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(memory))
    _check(_libc.prctl(_PR_SET_SECCOMP, 2, described, 0, 0))
