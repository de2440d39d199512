"""One gRPC connection to one etcd server, and the streams on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import grpc
import grpc.aio

from tortie.base.errors import Unavailable
from tortie.datastore.etcd.settings import Endpoint, EtcdSettings, Identity
from tortie.datastore.etcd.troubles import Failure, told

Metadata = tuple[tuple[str, str], ...]

_RECONNECT_MILLISECONDS = (50, 1_000)
_REASON_SECONDS = 0.2
_NOTHING = "/tortie/Nothing"
"""A method that no server has."""

_FAILED = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)


class ServerStream:
    """Requests to one server and its answers. Whatever breaks it raises Unavailable."""

    def __init__(
        self,
        server: str,
        call: grpc.aio.StreamStreamCall[bytes, bytes],
        is_closed: Callable[[], bool],
        settings: EtcdSettings,
    ) -> None:
        self.server = server
        self._call = call
        self._is_closed = is_closed
        self._settings = settings

    async def write(self, request: bytes) -> None:
        """Send a request."""
        with self._unavailable_when_broken(), contextlib.suppress(asyncio.InvalidStateError):
            # On a call that has already ended, `read` tells why.
            await self._call.write(request)

    async def read(self) -> bytes:
        """The next answer; nothing is fetched before it is asked for."""
        with self._unavailable_when_broken():
            answer = await self._call.read()
        if isinstance(answer, bytes):
            return answer
        raise Unavailable(told(self._settings, Failure(self.server, "ended the stream")))

    def cancel(self) -> None:
        """End the stream, at both sides."""
        self._call.cancel()

    @contextlib.contextmanager
    def _unavailable_when_broken(self) -> Iterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise Unavailable(told(self._settings, Failure(self.server, details(error)))) from error
        except asyncio.CancelledError:
            raise_if_ended_by(self._is_closed(), f"{self.server}: closed")
            raise


class ServerChannel:
    """Calls to one server, by the path of the method, with bytes in and out; connects when first used."""

    def __init__(self, endpoint: Endpoint, settings: EtcdSettings, identity: Identity) -> None:
        self.address = endpoint.address
        self._settings = settings
        self._is_closed = False
        options = _options(settings)
        if endpoint.is_secure:
            credentials = grpc.ssl_channel_credentials(identity.ca, identity.key, identity.certificate)
            self._channel = grpc.aio.secure_channel(endpoint.address, credentials, options)
        else:
            self._channel = grpc.aio.insecure_channel(endpoint.address, options)

    async def connect(self) -> Failure | None:
        """Be connected, or tell why not as soon as it is known that the server cannot be reached."""
        patience = self._settings.dial_timeout
        state = self._channel.get_state(try_to_connect=True)
        try:
            async with asyncio.timeout(patience):
                while state != grpc.ChannelConnectivity.READY:
                    if state in _FAILED and (reason := await self._reason()):
                        return Failure(self.address, reason)
                    await self._channel.wait_for_state_change(state)
                    state = self._channel.get_state(try_to_connect=True)
        except TimeoutError:
            return Failure(self.address, f"no connection in {patience:g} s")
        return None

    async def _reason(self) -> str:
        """Why there is no connection, or nothing when there is one after all.

        Only calls are told, so one is made that asks for nothing.
        """
        if self._is_closed:
            return "closed"
        try:
            async with asyncio.timeout(_REASON_SECONDS):
                await self.call(_NOTHING, b"", ())
        except TimeoutError:
            return "cannot connect"
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                return details(error)
        return ""

    async def call(self, path: str, request: bytes, metadata: Metadata) -> bytes:
        """One request and its answer. Raises grpc.aio.AioRpcError."""
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(path)
        try:
            return await method(request, metadata=metadata)
        except asyncio.CancelledError:
            raise_if_ended_by(self._is_closed, f"{self.address}: closed")
            raise

    def stream(self, path: str, metadata: Metadata) -> ServerStream:
        """Begin a stream of requests and answers."""
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(path)
        return ServerStream(self.address, method(metadata=metadata), lambda: self._is_closed, self._settings)

    async def close(self) -> None:
        """End all calls and the connection."""
        self._is_closed = True
        await self._channel.close()


def details(error: grpc.aio.AioRpcError) -> str:
    """What a call failed with, in the server's words or gRPC's."""
    return error.details() or error.code().name


def raise_if_ended_by(closing: bool, message: str) -> None:
    """Tell a call that ended by closing the connection from one whose caller was cancelled. Raises Unavailable."""
    task = asyncio.current_task()
    if closing and not (task and task.cancelling()):
        raise Unavailable(message)


def _options(settings: EtcdSettings) -> list[tuple[str, int]]:
    first, last = _RECONNECT_MILLISECONDS
    return [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.keepalive_time_ms", round(1000 * settings.keepalive)),
        ("grpc.keepalive_timeout_ms", round(1000 * settings.keepalive_timeout)),
        # Pings that measure the path stand in for those that test it, and would wait a minute.
        ("grpc.http2.ping_timeout_ms", round(1000 * settings.keepalive_timeout)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", first),
        ("grpc.min_reconnect_backoff_ms", round(1000 * settings.dial_timeout)),
        ("grpc.max_reconnect_backoff_ms", last),
        # A proxy for the web is no way to a datastore.
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
