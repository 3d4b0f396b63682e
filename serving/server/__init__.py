"""An embedded model server with TF Serving's API, for machines without its binary.

In process::

    with Server(ServerOptions(model_name="ranker", model_base_path="/models/ranker")) as server:
        server.wait_until_available(timeout_s=60)
        ...  # gRPC on 127.0.0.1:{server.port}

As a process, with `tensorflow_model_server`'s flags: `python -m serving.server --help`.

storage finds versions, manager loads and publishes them, saved_model is what is loaded; predict, classify,
regress, metadata and model_status answer one kind of request each; api joins them, grpc_services and rest
carry them, server puts all together.
"""

from serving.server.manager import LoadError, NotAvailableError
from serving.server.server import PortError, Server, ServerOptions

__all__ = ["LoadError", "NotAvailableError", "PortError", "Server", "ServerOptions"]
