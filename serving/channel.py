"""Connections to model servers: their options and TLS, in one place for all who call."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from schema.errors import RanklineError

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that restarts is found again soon; the default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # In spite of its name, how long connecting may take; the default is 20 s.
    ("grpc.min_reconnect_backoff_ms", 5000),
    # Of a name that stands for several servers, all are asked by turns; the default is to stay with the first.
    ("grpc.lb_policy_name", "round_robin"),
]


class TlsError(RanklineError):
    """A file with a certificate or a key is missing or does not hold it."""


@dataclass(frozen=True)
class Tls:
    """Which servers a client trusts, and how it shows them who it is. The files are PEM, as openssl writes them.

    Attributes:
        ca: the certificates of the authorities that servers are trusted by; None is those that gRPC trusts.
        cert: the client's own certificate, for a server that verifies its clients (mutual TLS).
        key: its private key, without a password.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC opens a channel with.

        Raises:
            TlsError: a file does not hold what it should.
        """
        self._check()
        return grpc.ssl_channel_credentials(*(file and file.read_bytes() for file in (self.ca, self.key, self.cert)))

    def _check(self) -> None:
        """gRPC itself says no more than that it cannot connect."""
        if (self.cert is None) != (self.key is None):
            given, missing = ("certificate", "private key") if self.cert else ("private key", "certificate")
            raise TlsError(f"{self.cert or self.key}: expected a client's {missing} with its {given}, received none")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca:
            try:
                context.load_verify_locations(self.ca)
            except OSError as error:
                raise TlsError(f"{self.ca}: expected certificates of authorities as PEM{_why(error)}") from error
        if self.cert and self.key:
            try:
                context.load_cert_chain(self.cert, self.key, password="")
            except OSError as error:
                raise TlsError(
                    f"{self.cert}, {self.key}: expected a certificate and its private key, without a password, "
                    f"as PEM{_why(error)}"
                ) from error


def connect(target: str, tls: Tls | None = None) -> grpc.Channel:
    """A channel whose calls block; it connects with the first.

    Args:
        target: the server's `host:port`.
        tls: None is no TLS.

    Raises:
        TlsError: a file of it does not hold what it should.
    """
    return _channel(grpc, target, tls)


def connect_async(target: str, tls: Tls | None = None) -> grpc.aio.Channel:
    """A channel whose calls are awaited, by the event loop that is running; as `connect`."""
    return _channel(grpc.aio, target, tls)


def _channel(api: Any, target: str, tls: Tls | None) -> Any:
    if tls is None:
        return api.insecure_channel(target, _OPTIONS)
    return api.secure_channel(target, tls.credentials(), _OPTIONS)


def _why(error: OSError) -> str:
    return ", found something else" if isinstance(error, ssl.SSLError) else f": {error.strerror}"
