"""The options of a server, which are `tensorflow_model_server`'s flags."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerOptions:
    """The options of a server. Their names are `tensorflow_model_server`'s flags.

    Attributes:
        model_name: the model's name in requests and for `Server.wait_until_available`.
        model_base_path: a folder with a numbered folder for each version; it may be missing or empty at first.
        model_config_file: a ModelServerConfig with several models, their versions and labels, in place of the above.
        model_config_file_poll_wait_seconds: the seconds between two readings of that file; 0 reads it once.
        port: the port for gRPC; 0 chooses a free one.
        grpc_max_threads: the number of threads that answer requests over gRPC; 0 chooses. More than a few threads only
            take turns, but with batching, each request that waits for others needs a thread.
        rest_api_port: the port for HTTP; 0 chooses a free one, None is no HTTP.
        rest_api_timeout_in_ms: the time limit of a model for a request over HTTP, in milliseconds.
        rest_api_enable_cors_support: whether pages of any web site may send requests over HTTP.
        host: the address to listen on.
        file_system_poll_wait_seconds: the seconds between two searches for new versions; 0 searches once.
        max_num_load_retries: the number of further attempts if a version fails to load.
        load_retry_interval_micros: the microseconds between two attempts.
        saved_model_tags: the comma-separated tags of the graph to load from a SavedModel.
        enable_model_warmup: whether to replay a model's warm-up requests before it is served.
        num_request_iterations_for_warmup: the number of times that each warm-up request is replayed.
        enable_batching: whether to compute simultaneous requests together.
        batching_parameters_file: a file of BatchingParameters; "" is TensorFlow's defaults.
        enable_per_model_batching_parameters: whether to batch only models with a `batching_params.pbtxt` in their
            folder, with the parameters in it. Only the number of threads comes from `batching_parameters_file`.
        tensorflow_session_config_file: a file with a ConfigProto for TensorFlow's sessions.
        tensorflow_session_parallelism: the number of threads for one operation and for parallel operations; 0 chooses.
        tensorflow_intra_op_parallelism: the number of threads for one operation, in place of the above.
        tensorflow_inter_op_parallelism: the number of threads for parallel operations, in place of the above.
        per_process_gpu_memory_fraction: the share of a GPU's memory to take at the start; 0 takes more as needed.
        monitoring_config_file: a file with a MonitoringConfig; "" is no page of metrics.
        ssl_config_file: a file with an SSLConfig with key and certificate; "" is no TLS.
        grpc_channel_arguments: further options of gRPC, as `key=value,…`; whole numbers are passed as integers.
        enable_grpc_healthcheck_service: whether to answer grpc.health.v1, too.
        allow_version_labels_for_unavailable_models: whether a new label may be on a version that is not loaded.
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
