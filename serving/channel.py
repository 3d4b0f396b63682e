"""Connections to model servers: gRPC options and TLS for all clients."""

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
    # Reconnects soon after a server restarts; the default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Despite its name, the timeout for connecting; the default is 20 s.
    ("grpc.min_reconnect_backoff_ms", 5000),
    # If a name resolves to several servers, they are called in turn; the default stays with the first.
    ("grpc.lb_policy_name", "round_robin"),
]


class TlsError(RanklineError):
    """A file of certificates or a key is missing or has other contents."""


@dataclass(frozen=True)
class Tls:
    """The TLS options of a client: the authorities that it trusts, and its own certificate. All files are PEM.

    Attributes:
        ca: the file of the certificate authorities that sign servers' certificates; None trusts gRPC's own.
        cert: the file of the client's certificate, for servers that verify their clients (mutual TLS).
        key: the file of the client's private key, without a password.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """The credentials with which gRPC opens a channel.

        Raises:
            TlsError: a file is missing or has other contents.
        """
        self._check()
        return grpc.ssl_channel_credentials(*(file and file.read_bytes() for file in (self.ca, self.key, self.cert)))

    def _check(self) -> None:
        """Checks the files, since gRPC itself would only report that it cannot connect."""
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
    """Opens a channel whose calls block. It connects at the first call.

    Args:
        target: the server's `host:port`.
        tls: the TLS options; None is no TLS.

    Raises:
        TlsError: a file of `tls` is missing or has other contents.
    """
    return _channel(grpc, target, tls)


def connect_async(target: str, tls: Tls | None = None) -> grpc.aio.Channel:
    """Opens a channel whose calls are awaited in the running event loop; see `connect`."""
    return _channel(grpc.aio, target, tls)


def _channel(api: Any, target: str, tls: Tls | None) -> Any:
    if tls is None:
        return api.insecure_channel(target, _OPTIONS)
    return api.secure_channel(target, tls.credentials(), _OPTIONS)


def _why(error: OSError) -> str:
    return ", found something else" if isinstance(error, ssl.SSLError) else f": {error.strerror}"
