"""An embedded model server with TF Serving's API, for machines without its binary.

In process::

    with Server(ServerOptions(model_name="ranker", model_base_path="/models/ranker")) as server:
        server.wait_until_available(timeout_s=60)
        ...  # gRPC on 127.0.0.1:{server.port}

As a process, with `tensorflow_model_server`'s flags: `python -m serving.server --help`.

`model_config` checks what to serve, and `core` puts it into effect: `storage` finds versions, `manager` loads and
publishes them, and `saved_model` is a loaded version. `predict`, `classify`, `regress`, `multi_inference`, `metadata`
and `model_status` each answer one kind of request. `api` joins them; `grpc_services` offers them over gRPC, and `rest`
over `http_server`, with bodies read and written by `json_requests` and `json_document`. `monitoring` has the metrics,
and `server` assembles everything.
"""

from serving.server.config_files import ConfigFileError
from serving.server.manager import LoadError, NotAvailableError
from serving.server.options import ServerOptions
from serving.server.server import PortError, Server
from serving.server.status import StatusError

__all__ = [
    "ConfigFileError",
    "LoadError",
    "NotAvailableError",
    "PortError",
    "Server",
    "ServerOptions",
    "StatusError",
]
