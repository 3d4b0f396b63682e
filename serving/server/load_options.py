"""Options for loading models: the session, batching and warm-up.

Checks and messages follow TF Serving's model_servers/server.cc.
"""

from dataclasses import dataclass, field
from typing import Any

from tensorflow.core.protobuf import config_pb2

from serving.server import config_files
from serving.server.options import ServerOptions
from serving.server.status import invalid_argument


@dataclass(frozen=True)
class LoadOptions:
    """Options for loading a model.

    Attributes:
        tags: the tags of the graph to load from a SavedModel.
        session: the configuration of TensorFlow's session.
        batching: a `config_files.BatchingParameters`; None computes each request by itself.
        batching_per_model: whether to batch only models with parameters of their own. From `batching`, these take the
            number of threads.
        warmup_iterations: the number of times that a model's warm-up requests are replayed; 0 skips them.
    """

    tags: tuple[str, ...] = ("serve",)
    session: config_pb2.ConfigProto = field(default_factory=config_pb2.ConfigProto)
    batching: Any = None
    batching_per_model: bool = False
    warmup_iterations: int = 1


DEFAULTS = LoadOptions()


def load_options(options: ServerOptions) -> LoadOptions:
    """The load options that follow from a server's options.

    Raises:
        ConfigFileError: a file cannot be read.
        StatusError: the options contradict each other.
    """
    iterations = max(1, options.num_request_iterations_for_warmup)
    return LoadOptions(
        tags=tuple(options.saved_model_tags.split(",")),
        session=_session_config(options),
        batching=_batching_parameters(options),
        batching_per_model=options.enable_per_model_batching_parameters,
        warmup_iterations=iterations if options.enable_model_warmup else 0,
    )


def _batching_parameters(options: ServerOptions) -> Any:
    if not options.enable_batching:
        if options.batching_parameters_file:
            raise invalid_argument("--batching_parameters_file is set without setting --enable_batching to true.")
        return None
    if not options.batching_parameters_file:
        return config_files.BatchingParameters()
    return config_files.read(options.batching_parameters_file, config_files.BatchingParameters)


def _session_config(options: ServerOptions) -> config_pb2.ConfigProto:
    both = options.tensorflow_session_parallelism
    intra, inter = options.tensorflow_intra_op_parallelism, options.tensorflow_inter_op_parallelism
    if both > 0 and intra > 0 and inter > 0:
        raise invalid_argument(
            "Either configure --tensorflow_session_parallelism or (--tensorflow_intra_op_parallelism, "
            "--tensorflow_inter_op_parallelism) separately. You cannot configure all."
        )
    config = config_pb2.ConfigProto()
    if options.tensorflow_session_config_file:
        config = config_files.read(options.tensorflow_session_config_file, config_pb2.ConfigProto)
    if intra > 0 or inter > 0:
        config.intra_op_parallelism_threads, config.inter_op_parallelism_threads = intra, inter
    else:
        config.intra_op_parallelism_threads = config.inter_op_parallelism_threads = both
    config.gpu_options.per_process_gpu_memory_fraction = options.per_process_gpu_memory_fraction
    return config
