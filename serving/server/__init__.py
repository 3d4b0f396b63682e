"""An embedded model server with TF Serving's API, for machines without its binary.

In process::

    with Server(ServerOptions(model_name="ranker", model_base_path="/models/ranker")) as server:
        server.wait_until_available(timeout_s=60)
        ...  # gRPC on 127.0.0.1:{server.port}

As a process, with `tensorflow_model_server`'s flags: `python -m serving.server --help`.

model_config says what to serve and core brings it about: storage finds versions, manager loads and publishes them,
saved_model is what is loaded; predict, classify, regress, multi_inference, metadata and model_status answer one kind
of request each; api joins them, grpc_services carries them over gRPC, rest over http_server (json_tensor and
json_document read and write its bodies); monitoring counts, server puts all together.
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
