"""`python -m pipeline.flink.worker`: a Python worker in this environment, which Flink starts.

Does the work of the boot program in Beam's containers: asks Flink for the job's settings, and becomes Beam's worker.
"""

from __future__ import annotations

import argparse
import os
import sys

import grpc
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from google.protobuf import json_format, text_format


def main() -> None:
    """Becomes the worker."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True, help="The id by which Flink knows the worker.")
    parser.add_argument("--provision_endpoint", required=True, help="The address at which Flink gives the settings.")
    arguments = parser.parse_args()
    with grpc.insecure_channel(arguments.provision_endpoint) as channel:
        info = (
            beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
            .GetProvisionInfo(beam_provision_api_pb2.GetProvisionInfoRequest(), metadata=[("worker_id", arguments.id)])
            .info
        )
    environment = os.environ | {
        "WORKER_ID": arguments.id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    worker = [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"]
    os.execve(worker[0], worker, environment)  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main()
