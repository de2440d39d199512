"""Maps and programs of the kernel, by bpf(2)."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError, Unsupported

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
"""Of the system call."""
_CREATE_MAP, _UPDATE, _LOAD = 0, 2, 5
_PREFIXES, _NO_PREALLOCATION = 11, 1
_CLASSIFIER = 3
_LOG_SIZE = 1 << 16
_NAME_LENGTH = 15
_LICENCE = b"GPL"
"""Asked for by the kernel's function that compares checksums."""


def prefix_map(members: Iterable[Cidr], name: str) -> int:
    """A map of IPv4 prefixes, of which the longest is found; returns a descriptor. Raises KernelError, Unsupported."""
    found = sorted(set(members))
    request = struct.pack("=IIIII", _PREFIXES, 8, 4, max(1, len(found)), _NO_PREALLOCATION)
    descriptor = _bpf(_CREATE_MAP, request + bytes(8) + _name(name), f"create BPF map {name}")
    try:
        for one in found:
            _put(descriptor, struct.pack("=I", one.length) + one.packed, name)
    except KernelError:
        os.close(descriptor)
        raise
    return descriptor


def load_classifier(program: bytes, name: str) -> int:
    """Have the kernel check a program for traffic control; returns a descriptor. Raises KernelError, Unsupported."""
    code, licence = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(_LICENCE)
    log = ctypes.create_string_buffer(_LOG_SIZE)
    request = struct.pack("=IIQQ", _CLASSIFIER, len(program) // 8, _at(code), _at(licence))
    quiet = request + bytes(24) + _name(name)
    try:
        return _bpf(_LOAD, quiet, f"load BPF program {name}")
    except KernelError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES):
            raise
    # Once more, to be told why.
    told = request + struct.pack("=IIQII", 1, _LOG_SIZE, _at(log), 0, 0) + _name(name)
    try:
        return _bpf(_LOAD, told, f"load BPF program {name}")
    except KernelError as error:
        reason = log.value.decode(errors="replace").strip().splitlines()[-3:]
        raise KernelError(error.request, error.errno, "; ".join(reason)) from error


def _put(descriptor: int, key: bytes, name: str) -> None:
    where, value = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(4)
    _bpf(_UPDATE, struct.pack("=I4xQQQ", descriptor, _at(where), _at(value), 0), f"fill BPF map {name}")


def _name(name: str) -> bytes:
    return name.replace("-", "_").encode()[:_NAME_LENGTH].ljust(_NAME_LENGTH + 1, b"\0")


def _at(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def _bpf(command: int, request: bytes, what: str) -> int:
    """Raises KernelError; Unsupported for a machine whose numbers are not known here."""
    call_number = _NUMBERS.get(platform.machine())
    if call_number is None:
        raise Unsupported(f"{what}: the system call bpf is not known for {platform.machine()}")
    library = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(request, len(request))
    result: int = library.syscall(call_number, command, buffer, len(request))
    if result < 0:
        raise KernelError(what, ctypes.get_errno())
    return result
