"""Calls to whichever server of a cluster answers: fail-over, deadlines, and tokens that are renewed."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio

from tortie.base.errors import OutcomeUnknown, RevisionTooOld, Unavailable
from tortie.base.logs import Logger
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.channel import Metadata, ServerChannel, ServerStream, details
from tortie.datastore.etcd.settings import EtcdSettings, read_endpoints, read_identity
from tortie.datastore.etcd.troubles import Failure, told, unavailable

_log = Logger(__name__)

# A server that is cut off from its cluster says so at once, instead of serving what is stale or nothing at all.
_NEEDS_LEADER = ("hasleader", "true")
_NO_LEADER = "etcdserver: no leader"
_COMPACTED = "required revision has been compacted"
_TOO_LARGE = ("request is too large", "received message larger than max")
_NEVER_SENT = ("failed to connect to all addresses", "Connection refused", _NO_LEADER)
_NO_JUDGEMENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
_CHANCES = 3
_MOMENT_SECONDS = 0.03
_TOKEN_PROBLEMS = ("invalid auth token", "revision of auth store is old", "user name is empty")
_NO_AUTHENTICATION = "authentication is not enabled"


class Compacted(RevisionTooOld):
    """A request named a revision that is no longer kept."""

    def __init__(self, revision: int) -> None:
        super().__init__(revision, revision + 1)


class TooLargeForServer(Unavailable):
    """The server takes less than its settings here say."""


class Cluster:
    """The servers of one cluster; belongs to one event loop.

    Raises:
        InvalidResource: the settings must be corrected.
    """

    def __init__(self, settings: EtcdSettings) -> None:
        self._settings = settings
        identity = read_identity(settings)
        self._channels = [ServerChannel(endpoint, settings, identity) for endpoint in read_endpoints(settings)]
        self._current = 0
        self._token: str | None = None
        self._authenticating = asyncio.Lock()
        self._number = 0
        self.is_closed = False

    async def call(self, path: str, request: bytes, repeatable: bool = False, revision: int = 0) -> bytes:
        """One request and its answer.

        Args:
            repeatable: asking twice does no harm, so another server may be asked when one fails to answer.
            revision: the one that the request names, for the error if it has been compacted.

        Raises:
            Compacted: history does not reach back to `revision`.
            TooLargeForServer: as it says.
            OutcomeUnknown: one that must not be repeated was sent, and what became of it is not known.
            Unavailable: no server answered in time, or the request was refused.
            NotPermitted: it was refused to this user.
        """
        try:
            answer = await self._call(path, request, repeatable)
        except TimeoutError as error:
            problem = self.told(f"no answer in {self._settings.timeout:g} s")
            raise (Unavailable if repeatable else OutcomeUnknown)(problem) from error
        except grpc.aio.AioRpcError as error:
            problem = details(error)
            if _COMPACTED in problem:
                raise Compacted(revision) from error
            if any(sign in problem for sign in _TOO_LARGE):
                raise TooLargeForServer(self.told(problem)) from error
            if not repeatable and _may_have_arrived(error):
                raise OutcomeUnknown(self.told(problem)) from error
            raise self.unavailable(problem) from error
        self.recognize(messages.reply_header(answer).cluster)
        return answer

    def recognize(self, number: int) -> None:
        """Take note of the cluster that answers. Another than before is somebody's mistake, or a restored backup.

        Args:
            number: 0 is not said.
        """
        if not number:
            return
        if self._number and number != self._number:
            _log.error("etcd_cluster_replaced", was=f"{self._number:x}", now=f"{number:x}", servers=self._addresses())
        self._number = number

    async def stream(self, path: str) -> ServerStream:
        """Begin a stream at a server that can be reached. Raises Unavailable."""
        channel = await self._connected()
        try:
            async with asyncio.timeout(self._settings.timeout):
                return channel.stream(path, await self._metadata(channel))
        except TimeoutError as error:
            self.fail_over(channel.address)
            problem = f"no token in {self._settings.timeout:g} s"
            raise Unavailable(self.told(problem, channel.address)) from error
        except grpc.aio.AioRpcError as error:
            self.fail_over(channel.address)
            raise self.unavailable(details(error), channel.address) from error

    def told(self, problem: str, server: str = "") -> str:
        """A problem in words, with what to do about it; without a server it is one of all."""
        return told(self._settings, Failure(server or self._addresses(), problem))

    def unavailable(self, problem: str, server: str = "") -> Unavailable:
        """The error for a problem, told as `told` does."""
        return unavailable(self._settings, Failure(server or self._addresses(), problem))

    def fail_over(self, server: str) -> None:
        """Ask another server from now on, if this one is being asked."""
        if self._channels[self._current].address == server:
            self._current = (self._current + 1) % len(self._channels)

    def forget_token(self) -> None:
        """Ask for a new token before the next request."""
        self._token = None

    async def close(self) -> None:
        """End all calls; those who wait get Unavailable."""
        self.is_closed = True
        for channel in self._channels:
            await channel.close()

    async def _call(self, path: str, request: bytes, repeatable: bool) -> bytes:
        """Try each server once, and once more after renewing the token. Raises AioRpcError, TimeoutError."""
        renewed = False
        # A lone server, or a balancer in front of several, gets more chances: its leader may just have changed.
        attempts = max(_CHANCES if repeatable else 1, len(self._channels))
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        while True:
            channel = await self._connected_by(deadline)
            attempts -= 1
            try:
                return await self._ask(
                    channel, path, request, deadline, repeatable and attempts > 0 and len(self._channels) > 1
                )
            except TimeoutError:
                # A server that stands still must not be asked again by those who come next.
                self.fail_over(channel.address)
                if not repeatable or asyncio.get_running_loop().time() >= deadline:
                    raise
            except grpc.aio.AioRpcError as error:
                if self._settings.username and _is_token_problem(error) and not renewed:
                    renewed = True
                    attempts += 1
                    self.forget_token()
                elif _may_ask_another(error, repeatable):
                    _log.info("etcd_server_failed", server=channel.address, problem=error.details())
                    self.fail_over(channel.address)
                    if attempts <= 0:
                        raise
                    if self._channels[self._current] is channel:
                        # It takes a moment until a connection that broke is known to be gone.
                        await asyncio.sleep(_MOMENT_SECONDS)
                else:
                    raise

    async def _ask(self, channel: ServerChannel, path: str, request: bytes, deadline: float, spare_time: bool) -> bytes:
        """Ask one server, within half of the time that is left if another may be asked after it."""
        now = asyncio.get_running_loop().time()
        async with asyncio.timeout_at((now + deadline) / 2 if spare_time else deadline):
            return await channel.call(path, request, await self._metadata(channel))

    async def _connected_by(self, deadline: float) -> ServerChannel:
        """A server, before anything was sent to it."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._connected()
        except TimeoutError as error:
            raise Unavailable(self.told(f"no connection in {self._settings.timeout:g} s")) from error

    async def _connected(self) -> ServerChannel:
        """The current server, or the next that can be reached."""
        failures: list[Failure] = []
        for _ in self._channels:
            if self.is_closed:
                raise Unavailable("etcd: closed")
            channel = self._channels[self._current]
            failure = await channel.connect()
            if failure is None:
                return channel
            failures.append(failure)
            self.fail_over(channel.address)
        raise Unavailable(told(self._settings, *failures))

    async def _metadata(self, channel: ServerChannel) -> Metadata:
        if not self._settings.username:
            return (_NEEDS_LEADER,)
        async with self._authenticating:
            if self._token is None:
                self._token = await self._authenticate(channel)
            return (_NEEDS_LEADER, ("token", self._token)) if self._token else (_NEEDS_LEADER,)

    async def _authenticate(self, channel: ServerChannel) -> str:
        """A token; empty where none is needed yet, so that passwords can be rolled out before they are asked for."""
        request = messages.authenticate_request(self._settings.username, self._settings.password)
        try:
            return messages.token(await channel.call(messages.AUTHENTICATE, request, (_NEEDS_LEADER,)))
        except grpc.aio.AioRpcError as error:
            if _NO_AUTHENTICATION in (error.details() or ""):
                return ""
            raise

    def _addresses(self) -> str:
        return ", ".join(channel.address for channel in self._channels)


def _may_have_arrived(error: grpc.aio.AioRpcError) -> bool:
    """Whether a server may have begun to carry out what failed; what it judges it says with another code."""
    never_sent = any(sign in details(error) for sign in _NEVER_SENT)
    return error.code() in _NO_JUDGEMENT and not never_sent


def _is_token_problem(error: grpc.aio.AioRpcError) -> bool:
    return any(problem in (error.details() or "") for problem in _TOKEN_PROBLEMS)


def _may_ask_another(error: grpc.aio.AioRpcError, repeatable: bool) -> bool:
    if error.code() != grpc.StatusCode.UNAVAILABLE:
        return False
    return repeatable or _NO_LEADER in (error.details() or "")
