"""What can go wrong, as one tree under LipcastError."""

from __future__ import annotations

from typing import Any

import grpc

from lipcast_client import _wire


class LipcastError(Exception):
    """`code`: gRPC's status. `message`: the server's text. `reason`: the server's word for it, which
    tells refusals of one code apart ("HEADROOM", "LIMIT", "DRAINING"; docs/protocol.md), None where it
    gave none. `retry_after`: seconds after which another try makes sense, where the server says so."""

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        code: grpc.StatusCode | None = None,
        retry_after: float | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.retry_after = retry_after
        self.reason = reason


class InvalidRequest(LipcastError, ValueError):
    """A value that the server, or this package, does not take: the text names it."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class InvalidAudio(InvalidRequest):
    """Sound that does not fit the session, or is none."""


class NotFound(LipcastError):
    """No such avatar, no such service."""

    code = grpc.StatusCode.NOT_FOUND


class WrongOrder(LipcastError):
    """A call that cannot come now: audio after `end`, anything after `close`."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Refused(LipcastError):
    """No room: the server is full, or frames were not read in time."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FramesUnread(Refused):
    """A wait that cannot end: the buffer of frames is full and nobody takes them."""


class NotAllowed(LipcastError):
    """The token or certificate is missing, wrong, or not enough."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unavailable(LipcastError, ConnectionError):
    """No server there, it went away, or it is shutting down."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(LipcastError, TimeoutError):
    """A time limit, ours or the server's, passed."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Cancelled(LipcastError):
    """The call was cancelled."""

    code = grpc.StatusCode.CANCELLED


class Unimplemented(LipcastError):
    """This server cannot do that."""

    code = grpc.StatusCode.UNIMPLEMENTED


class ServerFault(LipcastError):
    """A fault at the server, or of an avatar's files."""

    code = grpc.StatusCode.INTERNAL


class SourceFailed(LipcastError):
    """The iterable handed to `say` raised; its exception is the cause."""


_BY_CODE: dict[grpc.StatusCode, type[LipcastError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: WrongOrder,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Refused,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowed,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.INTERNAL: ServerFault,
    grpc.StatusCode.DATA_LOSS: ServerFault,
}


def _details(trailer: Any) -> tuple[float | None, str | None]:
    """When to try again, and why it failed, of a call's trailer."""
    retry_after, reason = None, None
    for key, value in trailer or ():
        if key != "grpc-status-details-bin":
            continue
        try:
            for detail in _wire.ErrorStatus.FromString(value).details:
                kind = detail.type_url.rpartition("/")[2]
                if kind == "google.rpc.RetryInfo":
                    delay = _wire.RetryInfo.FromString(detail.value).retry_delay
                    retry_after = float(delay.seconds + delay.nanos / 1e9)
                elif kind == "google.rpc.ErrorInfo":
                    reason = str(_wire.ErrorInfo.FromString(detail.value).reason) or None
        except Exception:  # a trailer that is no google.rpc.Status tells nothing
            return None, None
    return retry_after, reason


def from_rpc(error: Any) -> LipcastError:
    """grpc.RpcError, sync or asyncio, as one of ours."""
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    text = (error.details() if hasattr(error, "details") else None) or str(code.value[1])
    trailer = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    return _BY_CODE.get(code, LipcastError)(text, code, *_details(trailer))
