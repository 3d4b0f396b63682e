"""A SavedModel as a servable: loaded into a session of its own, one prepared call per signature.

TensorFlow is imported by the modules that define what is used, not through its public API: importing that
takes five seconds, this one (see `serving.lazy_tensorflow`). The session and the loader are those
behind `tf.compat.v1.Session` and `tf.compat.v1.saved_model.load`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

from grpc import StatusCode
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.client import session as tf_session
from tensorflow.python.framework import errors, ops
from tensorflow.python.saved_model import loader_impl

from serving.server import monitoring, warmup
from serving.server.servable import ServableId
from serving.server.status import StatusError, invalid_argument, not_found
from serving.tensors import Array

_TAGS = ["serve"]
_MAX_PREPARED_CALLS = 64


class SavedModel:
    """A loaded SavedModel: a `Servable`."""

    def __init__(self, servable_id: ServableId, path: str) -> None:
        """Reads graph, variables and assets, and runs the model's own initialisation.

        Args:
            servable_id: name and version to serve it under.
            path: folder with `saved_model.pb`.

        Raises:
            StatusError: it is not a SavedModel for serving, or it is damaged.
        """
        if not loader_impl.contains_saved_model(path):
            raise not_found(
                f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}. "
                "Check that the directory exists and that you have the right permissions for accessing it."
            )
        self.id = servable_id
        self._session = tf_session.Session(graph=ops.Graph())
        try:
            self.signature_defs = _load_into(self._session, path)
        except errors.OpError as error:
            self._session.close()
            raise StatusError.from_number(error.error_code, error.message) from error
        except (OSError, RuntimeError, ValueError) as error:
            self._session.close()
            raise StatusError(StatusCode.FAILED_PRECONDITION, str(error)) from error
        # There are as many ways to choose outputs as subsets of them; only those in use are kept.
        self._prepared = functools.lru_cache(_MAX_PREPARED_CALLS)(
            functools.partial(_prepare, self._session, self.signature_defs)
        )

    def run(self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
        """Computes outputs of one signature: see `Servable.run`."""
        try:
            names, call = self._prepared(signature, tuple(outputs))
            results: Sequence[Array] = call(*[inputs[name] for name in names])
        except errors.OpError as error:
            raise StatusError.from_number(error.error_code, error.message) from error
        except UnicodeDecodeError as error:  # TensorFlow's message, which quotes an input that is not UTF-8
            raise invalid_argument(error.object.decode(errors="replace")) from error
        except (TypeError, ValueError) as error:
            raise invalid_argument(str(error)) from error
        return results

    def close(self) -> None:
        """Frees the session with its graph, variables and tables, not later than its last reference goes."""
        self._prepared.cache_clear()
        self._session.close()
        ops.dismantle_graph(self._session.graph)  # else it waits for the garbage collector, version after version


def _load_into(session: tf_session.Session, path: str) -> dict[str, meta_graph_pb2.SignatureDef]:
    watch = monitoring.Stopwatch()
    loader = loader_impl.SavedModelLoader(path)
    definition = loader.get_meta_graph_def_from_tags(_TAGS)
    saver, _ = loader.load_graph(session.graph, _TAGS)
    loader.restore_variables(session, saver)
    monitoring.load_latency_by_stage.add(watch.microseconds(), path, "restore_graph")
    watch = monitoring.Stopwatch()
    loader.run_init_ops(session, _TAGS)
    monitoring.load_latency_by_stage.add(watch.microseconds(), path, "init_graph")
    return dict(definition.signature_def)


def _prepare(
    session: tf_session.Session,
    signature_defs: Mapping[str, meta_graph_pb2.SignatureDef],
    signature: str,
    outputs: tuple[str, ...],
) -> tuple[list[str], Callable[..., Sequence[Array]]]:
    """The graph cut down to what the outputs need, and the order in which it takes its inputs."""
    definition = signature_defs[signature]
    names = sorted(definition.inputs)
    options = config_pb2.CallableOptions(
        feed=[definition.inputs[name].name for name in names],
        fetch=[definition.outputs[name].name for name in outputs],
    )
    return names, session._make_callable_from_options(options)


def load(servable_id: ServableId, path: str) -> SavedModel:
    """Loads a SavedModel and replays its warm-up requests.

    Args:
        servable_id: name and version to serve it under.
        path: its folder.

    Raises:
        StatusError: it cannot be loaded, or does not answer one of its warm-up requests.
    """
    watch, outcome = monitoring.Stopwatch(), "fail"
    try:
        model = SavedModel(servable_id, path)
        outcome = "success"
    finally:
        monitoring.load_attempt_count.add(1, path, outcome)
        monitoring.load_latency.add(watch.microseconds(), path)
    try:
        warmup.replay(model, path)
    except Exception:
        model.close()
        raise
    return model
