"""How a Kubeflow Pipelines server is reached, as whom, and what to do where it does not answer or lets nobody in."""

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
"""Where a pod of the same cluster finds the server."""
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"  # noqa: S105 (its name)
"""The environment variable that holds a token, which thus is in no file and on no command line."""
SERVICE_ACCOUNT_TOKEN = Path(kfp.client.KF_PIPELINES_SA_TOKEN_PATH)
"""Where a pod has the token of its service account, if it is given one for Kubeflow Pipelines."""

_NO_ANSWER_S = (5, 30)
"""To connect, and to be answered."""


@contextlib.contextmanager
def connected(
    host: str | None, namespace: str | None = None, token_file: Path | None = None, ca: Path | None = None
) -> Iterator[Client]:
    """A server that answers.

    The token is that of `token_file`, which is read anew for each call; else that of the environment variable
    `KF_PIPELINES_TOKEN`; else that of the pod's service account, if there is one.

    Args:
        host: its address; None is the server of the cluster that this is a pod of.
        namespace: of whose runs, where the server is for several users; None is the pod's own.
        token_file: holds a token.
        ca: authorities (PEM) that vouch for the server; None is those that the web is trusted by.

    Raises:
        RanklineError: nobody answers there, or no such server; it refuses the token, or what it is asked.
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
    # kfp's client prints links, and says each time what servers it works with.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), _explained(host, file, bool(token)):
        warnings.simplefilter("ignore", FutureWarning)
        client = Client(
            host,
            # "kubeflow" is the client's word for none.
            namespace=namespace or "kubeflow",
            existing_token=token,
            credentials=ServiceAccountTokenVolumeCredentials(str(file)) if file else None,
            ssl_ca_cert=str(ca) if ca else None,
        )
        if client.get_kfp_healthz().multi_user and not client.get_user_namespace():
            raise RanklineError(f"--namespace: expected yours, since {host} is for several users, received none")
        yield client


@contextlib.contextmanager
def _explained(host: str, token_file: Path | None, token: bool) -> Iterator[None]:
    """Says of what a server answers, or does not answer, what can be done about it."""
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
    """kfp's, which answers at once where it cannot work."""

    @property
    def host(self) -> str:
        """The server's address."""
        address: str = self._existing_config.host
        return address

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        """As kfp's, which first tries for half a minute where a token is wrong, and for ever where nobody is."""
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
                f"{self.host}: expected Kubeflow Pipelines, received a page, perhaps to log in; a token in the "
                f"variable {TOKEN_VARIABLE} or in --token-file may be let in"
            )
        return health


def _refusal(error: kfp_server_api.ApiException, with_token: bool) -> str:
    said = _said(error)
    if error.status == HTTPStatus.UNAUTHORIZED:
        what = "one that it refuses" if with_token else "none"
        return f"expected a token in the variable {TOKEN_VARIABLE} or in --token-file, received {what} ({said})"
    if error.status == HTTPStatus.FORBIDDEN:
        return f"expected a --namespace in which you may do this, received a refusal ({said})"
    return f"expected what it accepts, received {error.status}: {said}"


def _said(error: kfp_server_api.ApiException) -> str:
    """The server's own words: those of its API, of its uploads, or of whatever stands before it."""
    try:
        body = json.loads(error.body)
    except (ValueError, TypeError):
        body = None
    words = [body.get(key) for key in ("message", "error_message", "error")] if isinstance(body, Mapping) else []
    return next((str(word) for word in words if word), str(error.reason))
