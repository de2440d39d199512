"""BIRD's control socket: one command, one answer (the reply codes of BIRD's `nest/cli.c`)."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import NamedTuple, Self

from tortie.base.errors import TortieError, Unavailable

_LINE = re.compile(rb"^(\d{4})([ -])(.*)$")
_FIRST_ERROR_CODE = 8000


class BirdRefused(TortieError):
    """BIRD answered with an error: `code` is its reply code, 8000 or more."""

    def __init__(self, command: str, code: int, text: str) -> None:
        self.command = command
        self.code = code
        self.text = text
        super().__init__(f"bird refused `{command}`: {text} (code {code})")


class ReplyLine(NamedTuple):
    """One line of an answer: its code, and its text without the code."""

    code: int
    text: str


class BirdControl:
    """A connection to a running BIRD. Blocking; use it from a worker thread or a short-lived command."""

    def __init__(self, path: Path, timeout: float = 5.0) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout)
        self._buffer = b""
        try:
            self._socket.connect(str(path))
            self._reply("connect")
        except OSError as error:
            self._socket.close()
            raise Unavailable(f"BIRD does not answer on {path}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def command(self, text: str) -> list[ReplyLine]:
        """Send one command and return the whole answer.

        Raises:
            BirdRefused: the answer is an error.
            Unavailable: the daemon went away or does not answer in time.
        """
        try:
            self._socket.sendall(text.encode() + b"\n")
            return self._reply(text)
        except OSError as error:
            raise Unavailable(f"BIRD stopped answering on {self._path}: {error.strerror or error}") from error

    def _reply(self, command: str) -> list[ReplyLine]:
        lines: list[ReplyLine] = []
        code = 0
        while True:
            raw = self._line()
            match = _LINE.match(raw)
            if match is None:
                # A line without a code continues the one before; the first blank is not part of it.
                lines.append(ReplyLine(code, raw[1:].decode(errors="replace")))
                continue
            code = int(match[1])
            text = match[3].decode(errors="replace")
            if text or code:
                lines.append(ReplyLine(code, text))
            if match[2] == b" ":
                if code >= _FIRST_ERROR_CODE:
                    raise BirdRefused(command, code, text)
                return lines

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            received = self._socket.recv(1 << 16)
            if not received:
                raise ConnectionResetError("connection closed")
            self._buffer += received
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line
