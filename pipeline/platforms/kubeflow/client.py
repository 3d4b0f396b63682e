"""Connects to a Kubeflow Pipelines server, and explains what to do if it does not answer or refuses a request."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

from schema.errors import RanklineError

IN_CLUSTER = "http://ml-pipeline.platforms.kubeflow.package.svc.cluster.local:8888"
"""The address at which a pod of the same cluster finds the server."""
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"  # noqa: S105 (its name)
"""The environment variable that holds a token, so that no file and no command line contains it."""
SERVICE_ACCOUNT_TOKEN = Path(kfp.client.KF_PIPELINES_SA_TOKEN_PATH)
"""The token of a pod's service account, if the pod has one for Kubeflow Pipelines."""

_NO_ANSWER_S = (5, 30)
"""The time limits in seconds: to connect, and for an answer."""


@contextlib.contextmanager
def connected(
    host: str | None, namespace: str | None = None, token_file: Path | None = None, ca: Path | None = None
) -> Iterator[Client]:
    """Connects to a server that answers.

    The token is that in `token_file`, which is read anew for each call; else that in the environment variable
    `KF_PIPELINES_TOKEN`; else that of the pod's service account, if it has one.

    Args:
        host: the address of the server; None is the server of the cluster that this pod belongs to.
        namespace: the namespace of the runs, if the server has several users; None is the pod's own.
        token_file: a file with a token.
        ca: the certificate authorities (PEM) to trust; None is the usual ones of the web.

    Raises:
        RanklineError: no Kubeflow Pipelines server answers there, or it refuses the token or a request.
    """
    if not host:
        if "KUBERNETES_SERVICE_HOST" not in os.environ:
            raise RanklineError(
                "--host: expected the address of Kubeflow Pipelines, received none; after "
                "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80` it is http://localhost:8080"
            )
        host = IN_CLUSTER
    if not re.match("https?://", host):
        raise RanklineError(f"--host: expected an address such as http://localhost:8080, received {host!r}")
    host = host.rstrip("/")
    token = None if token_file else os.environ.get(TOKEN_VARIABLE)
    file = token_file or (SERVICE_ACCOUNT_TOKEN if not token and SERVICE_ACCOUNT_TOKEN.is_file() else None)
    # kfp's client prints links, and warns each time about the server's version.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), _explained(host, file, bool(token)):
        warnings.simplefilter("ignore", FutureWarning)
        client = Client(
            host,
            # The client takes "kubeflow" for no namespace.
            namespace=namespace or "kubeflow",
            existing_token=token,
            credentials=ServiceAccountTokenVolumeCredentials(str(file)) if file else None,
            ssl_ca_cert=str(ca) if ca else None,
        )
        if client.get_kfp_healthz().multi_user and not client.get_user_namespace():
            raise RanklineError(f"--namespace: expected yours, since {host} has several users, received none")
        yield client


@contextlib.contextmanager
def _explained(host: str, token_file: Path | None, token: bool) -> Iterator[None]:
    """Turns errors of calls in a `with` block into errors that say what to do."""
    try:
        yield
    except kfp_server_api.ApiException as error:
        raise RanklineError(f"{host}: {_refusal(error, bool(token or token_file))}") from error
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None) or error
        raise RanklineError(f"{host}: expected Kubeflow Pipelines, received no answer: {reason}") from error
    except OSError as error:
        if token_file and error.filename == str(token_file):
            raise RanklineError(f"{token_file}: expected a file with a token: {error.strerror}") from error
        raise


class Client(kfp.Client):  # type: ignore[misc]
    """kfp's client, except that it fails at once if it cannot work."""

    @property
    def host(self) -> str:
        """The server's address."""
        address: str = self._existing_config.host
        return address

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        """Overrides kfp's check, which retries a wrong token for half a minute, and a missing server for ever."""
        try:
            health, _, headers = self._healthz_api.healthz_service_get_healthz_with_http_info(
                _request_timeout=_NO_ANSWER_S
            )
        except kfp_server_api.ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise RanklineError(f"{self.host}: expected Kubeflow Pipelines, received {error.reason}") from error
            raise
        if "json" not in headers.get("content-type", ""):
            raise RanklineError(
                f"{self.host}: expected Kubeflow Pipelines, received a page, perhaps to log in; try a token in the "
                f"variable {TOKEN_VARIABLE} or in --token-file"
            )
        return health


def _refusal(error: kfp_server_api.ApiException, with_token: bool) -> str:
    said = _said(error)
    if error.status == HTTPStatus.UNAUTHORIZED:
        what = "one that it refuses" if with_token else "none"
        return f"expected a token in the variable {TOKEN_VARIABLE} or in --token-file, received {what} ({said})"
    if error.status == HTTPStatus.FORBIDDEN:
        return f"expected a --namespace in which you may do this, received a refusal ({said})"
    return f"expected a request that it accepts, received {error.status}: {said}"


def _said(error: kfp_server_api.ApiException) -> str:
    """The server's own message, from its API, its uploads, or a proxy before it."""
    try:
        body = json.loads(error.body)
    except (ValueError, TypeError):
        body = None
    words = [body.get(key) for key in ("message", "error_message", "error")] if isinstance(body, Mapping) else []
    return next((str(word) for word in words if word), str(error.reason))
