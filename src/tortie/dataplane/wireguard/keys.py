"""Key pairs of WireGuard (X25519, RFC 7748), and the files that keep the private ones.

The arithmetic is OpenSSL's, whose library Python itself stands on.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import os
from pathlib import Path

from tortie.base.errors import Unavailable, Unsupported

KEY_LENGTH = 32
_X25519 = 1034
"""NID_X25519 of openssl/obj_mac.h."""
_LIBRARY = "libcrypto.so.3"


class KeyFiles:
    """One file of each family, readable for its owner alone.

    Args:
        directory: of this host alone.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, family: int) -> Path:
        """Where the private key of a family is."""
        return self._directory / f"wireguard-v{family}.key"

    def read(self, family: int) -> bytes | None:
        """The private key; None when there is none that can be used. Raises Unavailable."""
        try:
            found = self.path(family).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"read {self.path(family)}: {error.strerror}") from error
        return found if len(found) == KEY_LENGTH else None

    def make(self, family: int) -> bytes:
        """Put a new private key in the place of any that there is. Raises Unavailable."""
        path, key = self.path(family), generate()
        draft = path.with_suffix(".new")
        try:
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key)
                os.fsync(file.fileno())
            draft.rename(path)
        except OSError as error:
            raise Unavailable(f"write {path}: {error.strerror}") from error
        return key


def generate() -> bytes:
    """A private key: 32 random bytes, of which five bits are fixed (RFC 7748, section 5)."""
    key = bytearray(os.urandom(KEY_LENGTH))
    key[0] &= 248
    key[31] = key[31] & 127 | 64
    return bytes(key)


def public_key(private: bytes) -> bytes:
    """The other half of a pair. Raises Unsupported: there is no OpenSSL 3 here, or it refuses."""
    library = _library()
    pair = library.EVP_PKEY_new_raw_private_key(_X25519, None, private, len(private))
    if not pair:
        raise Unsupported("OpenSSL makes no X25519 key")
    try:
        found = ctypes.create_string_buffer(KEY_LENGTH)
        length = ctypes.c_size_t(KEY_LENGTH)
        if library.EVP_PKEY_get_raw_public_key(pair, found, ctypes.byref(length)) != 1:
            raise Unsupported("OpenSSL tells no X25519 key")
        return found.raw
    finally:
        library.EVP_PKEY_free(pair)


@functools.cache
def _library() -> ctypes.CDLL:
    for name in (_LIBRARY, ctypes.util.find_library("crypto")):
        if name is None:
            continue
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.EVP_PKEY_new_raw_private_key.restype = ctypes.c_void_p
        library.EVP_PKEY_new_raw_private_key.argtypes = (
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_size_t,
        )
        library.EVP_PKEY_get_raw_public_key.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        library.EVP_PKEY_free.argtypes = (ctypes.c_void_p,)
        library.EVP_PKEY_free.restype = None
        return library
    raise Unsupported(f"keys of WireGuard need OpenSSL 3 ({_LIBRARY}), which is not here: apt-get install libssl3")
