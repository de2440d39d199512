"""WireGuard without the kernel's: the program wireguard-go, started once and spoken to by its socket.

The language is that of wireguard.com/xplatform: lines `key=value`, keys in hexadecimal, an empty line at the end. The
program outlives this one, and ends when its device is deleted. It keeps its sockets in one directory for all network
namespaces of a machine; where another directory is wanted, it is given a view of files of its own.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError, Unavailable, Unsupported
from tortie.netlink.wireguard import Change, Endpoint, Peer, Wireguard

PROGRAM = "wireguard-go"
DIRECTORY = Path("/var/run/wireguard")
"""Where the program has its sockets."""

_PATIENCE = 10.0
_PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VIEW = 'mount --bind "$0" "$1" && shift && exec "$@"'


class Userspace:
    """Devices of the program.

    Args:
        directory: where its sockets are to be.
    """

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._directory = directory

    def has(self, name: str) -> bool:
        """Whether a device of this name can be spoken to."""
        return self._path(name).is_socket()

    def make(self, name: str) -> None:
        """Start the program in the namespace of the calling thread; its device has no address and is down.

        Raises:
            Unsupported: there is no such program.
            Unavailable: it did not make the device.
        """
        program = find_program()
        if program is None:
            remedy = f"apt-get install {PROGRAM}"
            raise Unsupported(f"this kernel has no WireGuard, and there is no program {PROGRAM} ({remedy})")
        environment = {"PATH": _PLACES, "LOG_LEVEL": "error"}
        try:
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._path(name).unlink(missing_ok=True)
            # It goes to the background once its device and its socket are there.
            done = subprocess.run(
                self._command(program, name),
                check=False,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"start {program} {name}: {error}") from error
        if done.returncode or not self.has(name):
            raise Unavailable(f"{program} {name} made no device (exit code {done.returncode}; /dev/net/tun is needed)")

    def read(self, name: str, private: bytes | None, public: bytes) -> Wireguard:
        """A device. The program tells its private key alone: where that is the one given, `public` is the other half.

        Raises:
            Unavailable: it does not answer.
        """
        return decode(self._ask(name, "get=1\n"), private, public)

    def change(self, name: str, wanted: Change) -> None:
        """Carry out a change. Raises Unavailable."""
        self._ask(name, "set=1\n" + "".join(f"{line}\n" for line in pack(wanted)))

    def _ask(self, name: str, request: str) -> list[tuple[str, str]]:
        answer = bytearray()
        try:
            # Names of sockets are short, those of directories need not be.
            directory = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"open {self._directory}: {error.strerror}") from error
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as one:
                one.settimeout(_PATIENCE)
                one.connect(f"/proc/self/fd/{directory}/{name}.sock")
                one.sendall(request.encode() + b"\n")
                while not answer.endswith(b"\n\n"):
                    part = one.recv(1 << 16)
                    if not part:
                        break
                    answer += part
        except OSError as error:
            raise Unavailable(f"ask {PROGRAM} about {name}: {error.strerror or error}") from error
        finally:
            os.close(directory)
        lines = list(_lines(answer.decode(errors="replace")))
        code = dict(lines).get("errno", "")
        if code != "0":
            number = abs(int(code)) if code.lstrip("-").isdigit() else errno.EPROTO
            raise KernelError(f"configure WireGuard device {name}", number)
        return lines

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.sock"

    def _command(self, program: str, name: str) -> list[str]:
        if self._directory == DIRECTORY:
            return [program, name]
        DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
        view = ["unshare", "--mount", "sh", "-c", _VIEW, str(self._directory), str(DIRECTORY)]
        return [*view, program, name]


def find_program() -> str | None:
    """Where the program is, if it is here."""
    return shutil.which(PROGRAM) or shutil.which(PROGRAM, path=_PLACES)


def pack(wanted: Change) -> Iterator[str]:
    """The lines of a change, in order."""
    if wanted.private is not None:
        yield f"private_key={wanted.private.hex()}"
    if wanted.port is not None:
        yield f"listen_port={wanted.port}"
    if wanted.mark is not None:
        yield f"fwmark={wanted.mark}"
    for peer in wanted.peers:
        yield f"public_key={peer.key.hex()}"
        if peer.endpoint:
            yield f"endpoint={_shown(peer.endpoint)}"
        yield f"persistent_keepalive_interval={peer.keepalive}"
        yield "replace_allowed_ips=true"
        yield from (f"allowed_ip={one}" for one in sorted(peer.allowed))
    for key in wanted.removed:
        yield f"public_key={key.hex()}"
        yield "remove=true"


def decode(lines: Iterable[tuple[str, str]], private: bytes | None, public: bytes) -> Wireguard:
    """A device from what the program says. Raises Unavailable: it says what makes no sense."""
    own: dict[str, str] = {}
    peers: list[tuple[dict[str, str], list[str]]] = []
    for key, value in lines:
        if key == "public_key":
            peers.append(({}, []))
        if key == "allowed_ip" and peers:
            peers[-1][1].append(value)
        else:
            (peers[-1][0] if peers else own)[key] = value
    is_ours = private is not None and own.get("private_key") == private.hex()
    try:
        return Wireguard(
            key=public if is_ours else b"",
            port=int(own.get("listen_port", "0")),
            mark=int(own.get("fwmark", "0")),
            peers=tuple(_peer(said, allowed) for said, allowed in peers),
        )
    except ValueError as error:
        raise Unavailable(f"{PROGRAM} answers what cannot be read: {error}") from error


def _peer(said: Mapping[str, str], allowed: Iterable[str]) -> Peer:
    return Peer(
        key=bytes.fromhex(said["public_key"]),
        endpoint=_endpoint(said["endpoint"]) if "endpoint" in said else None,
        keepalive=int(said.get("persistent_keepalive_interval", "0")),
        allowed=frozenset(map(Cidr.parse, allowed)),
    )


def _endpoint(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return Endpoint(Cidr.host(address.strip("[]")), int(port))


def _shown(endpoint: Endpoint) -> str:
    text = endpoint.address.text
    return f"[{text}]:{endpoint.port}" if endpoint.address.family == 6 else f"{text}:{endpoint.port}"


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator:
            yield key, value
