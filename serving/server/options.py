"""What a server serves, where, and how: `tensorflow_model_server`'s flags."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerOptions:
    """What to serve, and where. Named after `tensorflow_model_server`'s flags.

    Attributes:
        model_name: the model's name in requests, and of whom `Server.wait_until_available` speaks.
        model_base_path: folder with a numbered folder for each version; may be missing or empty yet.
        model_config_file: instead of both, names several models, their versions and labels.
        model_config_file_poll_wait_seconds: between two readings of that file; 0 reads it once.
        port: for gRPC; 0 is a free one.
        grpc_max_threads: threads that answer; of Python's, more than a few only take turns, but with batching each
            request that waits for others has one. 0 is as many as that takes.
        rest_api_port: for HTTP; 0 is a free one, None is no HTTP.
        rest_api_timeout_in_ms: after which the computation for a request over HTTP is given up.
        rest_api_enable_cors_support: let pages of any web site ask over HTTP.
        host: address to listen on.
        file_system_poll_wait_seconds: between two looks for new versions; 0 looks once.
        max_num_load_retries: further attempts at a version that fails to load; 0 makes a failure final at once.
        load_retry_interval_micros: between two attempts, in microseconds.
        saved_model_tags: comma-separated; of the graph to load from a SavedModel.
        enable_model_warmup: replay a model's warm-up requests before it is served.
        num_request_iterations_for_warmup: how often each of them.
        enable_batching: compute requests that come at the same time together.
        batching_parameters_file: BatchingParameters for that; "" is TensorFlow's defaults.
        enable_per_model_batching_parameters: only models with a `batching_params.pbtxt` in their folder are batched, by
            that; of the file above it uses the number of threads.
        tensorflow_session_config_file: a ConfigProto for TensorFlow's sessions.
        tensorflow_session_parallelism: threads of both kinds of TensorFlow's; 0 is a choice of its own.
        tensorflow_intra_op_parallelism: threads for one operation, instead.
        tensorflow_inter_op_parallelism: threads for operations side by side, instead.
        per_process_gpu_memory_fraction: of a GPU's memory; 0 takes more as needed.
        monitoring_config_file: a MonitoringConfig; "" is no page of metrics.
        ssl_config_file: an SSLConfig with key and certificate; "" is no TLS.
        grpc_channel_arguments: further options of gRPC, `key=value,…`; whole numbers are passed as such.
        enable_grpc_healthcheck_service: answer grpc.health.v1 as well.
        allow_version_labels_for_unavailable_models: a new label may be given to a version that is not loaded.
    """

    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: str = ""
    model_config_file_poll_wait_seconds: float = 0
    port: int = 0
    grpc_max_threads: int = 0
    rest_api_port: int | None = None
    rest_api_timeout_in_ms: int = 30_000
    rest_api_enable_cors_support: bool = False
    host: str = "127.0.0.1"
    file_system_poll_wait_seconds: float = 1
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    saved_model_tags: str = "serve"
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 1
    enable_batching: bool = False
    batching_parameters_file: str = ""
    enable_per_model_batching_parameters: bool = False
    tensorflow_session_config_file: str = ""
    tensorflow_session_parallelism: int = 0
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    per_process_gpu_memory_fraction: float = 0.0
    monitoring_config_file: str = ""
    ssl_config_file: str = ""
    grpc_channel_arguments: str = ""
    enable_grpc_healthcheck_service: bool = False
    allow_version_labels_for_unavailable_models: bool = False
