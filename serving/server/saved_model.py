"""A SavedModel as a servable, loaded into a session of its own.

Internal modules of TensorFlow are imported here, since its public API takes five seconds to import and these modules
one (see `serving.lazy_tensorflow`). The session and the loader are those behind `tf.compat.v1.Session` and
`tf.compat.v1.saved_model.load`.
"""

import logging
import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from grpc import StatusCode
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.client import session as tf_session
from tensorflow.python.framework import errors, ops
from tensorflow.python.framework.tensor import Tensor
from tensorflow.python.saved_model import loader_impl

from serving.server import batching, config_files, monitoring, warmup
from serving.server.batching import Batching
from serving.server.load_options import DEFAULTS, LoadOptions
from serving.server.servable import ServableId
from serving.server.status import StatusError, invalid_argument, not_found
from serving.tensor_proto import Array

_log = logging.getLogger(__name__)

_BATCHING_FILE = "batching_params.pbtxt"
_MAX_CALLS = 64

_MAX_AT_ONCE = 4096
"""The largest number of values in a request that runs in its own thread: it is done before other threads would have
started it."""
_LONGEST_LIMIT_S = 366 * 24 * 60 * 60.0
"""The longest time limit; longer ones are ignored. A call without a deadline gets one of a few hundred billion years
from gRPC, and TensorFlow cannot represent its milliseconds."""
_MAY_TAKE_LONG = re.compile("While|^For$|LoopCond|Queue|Barrier|Iterator|PyFunc|^Batch$|BatchFunction|Remote|Recv")
"""Operations that repeat others, or wait. A run with a time limit can be stopped between two operations, but a run in
the caller's thread cannot, so only graphs without these operations run there."""
_IN_THIS_THREAD = pywrap_tf_session.TF_NewBufferFromString(
    config_pb2.RunOptions(inter_op_thread_pool=-1).SerializeToString()
)


class _Call(NamedTuple):
    """The handles with which TensorFlow's runtime computes outputs of a signature.

    Attributes:
        inputs: input name of the signature -> the tensor to feed.
        batched: whether the outputs are computed together with those of other requests.
        feeds: input name -> the runtime's handle of the tensor to feed.
        fetches: output name -> the runtime's handle of the tensor to fetch.
    """

    inputs: dict[str, Tensor]
    batched: bool
    feeds: dict[str, Any]
    fetches: dict[str, Any]

    @classmethod
    def of(cls, inputs: dict[str, Tensor], outputs: dict[str, Tensor], batched: bool) -> Self:
        """The call that feeds and fetches these tensors."""
        feeds, fetches = ({name: each._as_tf_output() for name, each in of.items()} for of in (inputs, outputs))
        return cls(inputs, batched, feeds, fetches)


class SavedModel:
    """A loaded SavedModel; a `Servable`."""

    def __init__(self, servable_id: ServableId, path: str, options: LoadOptions = DEFAULTS) -> None:
        """Reads graph, variables and assets, and runs the model's own initialisation.

        Args:
            servable_id: the name and version to serve it under.
            path: the folder with `saved_model.pb`.
            options: the options for loading it.

        Raises:
            StatusError: the folder holds no SavedModel for serving, or a damaged one; or the batching parameters
                contradict each other.
            ConfigFileError: the model's own batching parameters cannot be read.
        """
        if not loader_impl.contains_saved_model(path):
            raise not_found(
                f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}. "
                "Check that the directory exists and that you have the right permissions for accessing it."
            )
        self.id = servable_id
        self._batching = _batching(path, options)
        self._session = tf_session.Session(graph=ops.Graph(), config=options.session)
        try:
            loaded = _load_into(self._session, path, list(options.tags))
        except errors.OpError as error:
            self._session.close()
            raise StatusError.from_number(error.error_code, error.message) from error
        except (OSError, RuntimeError, ValueError) as error:
            self._session.close()
            raise StatusError(StatusCode.FAILED_PRECONDITION, str(error)) from error
        self.signature_defs = dict(loaded.signature_def)
        self._may_take_long = any(_MAY_TAKE_LONG.search(name) for name in _operations(loaded.graph_def))
        self._calls: dict[tuple[str, tuple[str, ...]], _Call] = {}
        self._preparing = threading.Lock()

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        timeout_s: float | None = None,
    ) -> Sequence[Array]:
        """Computes outputs of a signature, see `Servable.run`."""
        if self._batching:
            batching.check_inputs(inputs)
        call = self._call(signature, tuple(sorted(outputs)))
        try:
            results = self._run(call, inputs, timeout_s)
        except errors.OpError as error:
            if call.batched:
                raise batching.status_of(error, call.inputs) from error
            raise StatusError.from_number(error.error_code, error.message) from error
        except UnicodeDecodeError as error:  # TensorFlow's message, which quotes an input that is not UTF-8
            raise invalid_argument(error.object.decode(errors="replace")) from error
        except (TypeError, ValueError) as error:
            raise invalid_argument(str(error)) from error
        return [results[name] for name in outputs]

    def close(self) -> None:
        """Frees the session with its graph, variables and tables."""
        self._calls.clear()
        self._session.close()
        ops.dismantle_graph(self._session.graph)  # else graphs of old versions wait for the garbage collector

    def _run(self, call: _Call, inputs: Mapping[str, Array], timeout_s: float | None) -> dict[str, Array]:
        options = None
        if not (call.batched or self._may_take_long) and sum(array.size for array in inputs.values()) <= _MAX_AT_ONCE:
            options = _IN_THIS_THREAD
        elif timeout_s is not None and timeout_s <= _LONGEST_LIMIT_S:
            milliseconds = max(1, int(timeout_s * 1000))
            options = pywrap_tf_session.TF_NewBufferFromString(
                config_pb2.RunOptions(timeout_in_ms=milliseconds).SerializeToString()
            )
        try:
            # Session.run ends in this call, but first checks the types of all its arguments again.
            results = pywrap_tf_session.TF_SessionRun_wrapper(
                self._session._session,
                options,
                {handle: inputs[name] for name, handle in call.feeds.items()},
                list(call.fetches.values()),
                [],
                None,
            )
        finally:
            if options not in (None, _IN_THIS_THREAD):
                pywrap_tf_session.TF_DeleteBuffer(options)
        return dict(zip(call.fetches, results, strict=True))

    def _call(self, signature: str, outputs: tuple[str, ...]) -> _Call:
        """The call for these outputs; for all outputs if clients have already asked for many different choices.

        TensorFlow keeps what it prepares for a choice of outputs as long as the session exists.
        """
        if call := self._calls.get((signature, outputs)):
            return call
        with self._preparing:
            definition = self.signature_defs[signature]
            if len(self._calls) >= _MAX_CALLS:
                outputs = tuple(sorted(definition.outputs))
            if (signature, outputs) not in self._calls:
                self._calls[signature, outputs] = self._prepare(definition, outputs)
            return self._calls[signature, outputs]

    def _prepare(self, definition: meta_graph_pb2.SignatureDef, outputs: Sequence[str]) -> _Call:
        tensor_of = self._session.graph.get_tensor_by_name
        fed = {name: tensor_of(definition.inputs[name].name) for name in sorted(definition.inputs)}
        fetched = {name: tensor_of(definition.outputs[name].name) for name in outputs}
        if not self._batching:
            return _Call.of(fed, fetched, batched=False)
        try:
            batched = self._batching.batched(self._session.graph, list(fed.values()), list(fetched.values()))
        except (errors.OpError, ValueError) as error:
            _log.warning("Model %s version %d is not batched: %s", *self.id, error)
            return _Call.of(fed, fetched, batched=False)
        self._session._extend_graph()
        return _Call.of(fed, dict(zip(outputs, batched, strict=True)), batched=True)


def _batching(path: str, options: LoadOptions) -> Batching | None:
    parameters = options.batching
    if parameters is not None and options.batching_per_model:
        file = os.path.join(path, _BATCHING_FILE)
        if not os.path.exists(file):
            return None
        own = config_files.read(file, config_files.BatchingParameters)
        own.ClearField("num_batch_threads")
        if parameters.HasField("num_batch_threads"):
            own.num_batch_threads.CopyFrom(parameters.num_batch_threads)
        parameters = own
    return None if parameters is None else Batching(parameters)


def _operations(graph: graph_pb2.GraphDef) -> set[str]:
    """The types of all operations in a graph and its functions."""
    functions = (function.node_def for function in graph.library.function)
    return {node.op for nodes in (graph.node, *functions) for node in nodes}


def _load_into(session: tf_session.Session, path: str, tags: list[str]) -> meta_graph_pb2.MetaGraphDef:
    watch = monitoring.Stopwatch()
    loader = loader_impl.SavedModelLoader(path)
    definition = loader.get_meta_graph_def_from_tags(tags)
    saver, _ = loader.load_graph(session.graph, tags)
    loader.restore_variables(session, saver)
    monitoring.load_latency_by_stage.add(watch.microseconds(), path, "restore_graph")
    watch = monitoring.Stopwatch()
    loader.run_init_ops(session, tags)
    monitoring.load_latency_by_stage.add(watch.microseconds(), path, "init_graph")
    return definition


def load(servable_id: ServableId, path: str, options: LoadOptions = DEFAULTS) -> SavedModel:
    """Loads a SavedModel and replays its warm-up requests.

    Args:
        servable_id: the name and version to serve it under.
        path: the folder of the SavedModel.
        options: the options for loading it.

    Raises:
        StatusError: the model cannot be loaded, or fails to answer one of its warm-up requests.
        ConfigFileError: the model's own batching parameters cannot be read.
    """
    watch, outcome = monitoring.Stopwatch(), "fail"
    try:
        model = SavedModel(servable_id, path, options)
        outcome = "success"
    finally:
        monitoring.load_attempt_count.add(1, path, outcome)
        monitoring.load_latency.add(watch.microseconds(), path)
    try:
        warmup.replay(model, path, options.warmup_iterations)
    except Exception:
        model.close()
        raise
    return model
