"""`python -m pipeline.bench.sides.echo`: a gRPC server that does nothing, built like the embedded server.

It answers any request to any method with as many bytes as a model's answer has, which leaves the cost of gRPC.
"""

from __future__ import annotations

import threading
from concurrent import futures

import click
import grpc

from serving.server.server import GRPC_OPTIONS, GRPC_THREADS


class _Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, answer: bytes) -> None:
        self._handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return self._handler


@click.command()
@click.option("--port", type=int, required=True, help="On 127.0.0.1.")
@click.option("--answer", type=int, required=True, help="The number of bytes of an answer.")
def main(port: int, answer: int) -> None:
    """Serve until the process is stopped."""
    server = grpc.server(futures.ThreadPoolExecutor(GRPC_THREADS), options=GRPC_OPTIONS)
    server.add_generic_rpc_handlers([_Echo(bytes(answer))])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
