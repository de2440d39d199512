"""DELs that could not be carried out, kept until they can be: each a file, written by the plugin or by the agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from tortie.base.errors import TortieError
from tortie.base.files import write_atomically
from tortie.base.logs import Logger
from tortie.cni.errors import TRY_AGAIN_LATER, CniError
from tortie.cni.request import Request, parse

DEFAULT_SOCKET = Path("/run/tortie/cni.sock")
DEFAULT_DIRECTORY = Path("/var/lib/tortie/cni-spool")


def spool_directory(socket: Path) -> Path:
    """Where the plugin leaves what no agent took: beside the socket, but for the usual one, whose folder a restart of
    the machine empties."""
    return DEFAULT_DIRECTORY if socket == DEFAULT_SOCKET else socket.parent / "cni-spool"


class Spool:
    """The folder of one host. Files whose names begin with a dot are being written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = Logger("tortie.cni")

    def keep(self, request: Request, data: bytes) -> None:
        """Keep what the plugin sent, as it does itself when nobody answers. Raises CniError."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._directory / f"{request.container_id}-{request.interface}", data, sync=True)
        except OSError as error:
            raise CniError(TRY_AGAIN_LATER, "the request could not be kept for later", str(error)) from error

    async def drain(self, delete: Callable[[Request], Awaitable[None]]) -> None:
        """Carry everything out; what fails stays for the next time, and what can never be read goes."""
        if not self._directory.is_dir():
            return
        for file in sorted(self._directory.iterdir()):
            if not file.name.startswith(".") and await self._carry_out(file, delete):
                file.unlink(missing_ok=True)

    async def _carry_out(self, file: Path, delete: Callable[[Request], Awaitable[None]]) -> bool:
        """Whether that is over."""
        request = self._read(file)
        if request is None:
            return True
        try:
            await delete(request)
        except TortieError as error:
            self._log.warning("cni_spool_failed", file=file.name, error=str(error))
            return False
        return True

    def _read(self, file: Path) -> Request | None:
        try:
            return parse(file.read_bytes())
        except CniError as error:
            self._log.warning("cni_spool_unreadable", file=file.name, error=str(error))
            return None
