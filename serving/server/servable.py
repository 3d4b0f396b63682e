"""The interface of a loaded model, whatever its format."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import model_pb2

from serving.tensor_proto import Array

DEFAULT_SIGNATURE = "serving_default"


class ServableId(NamedTuple):
    """One version of one model."""

    name: str
    version: int


class Servable(Protocol):
    """One loaded version of one model. Requests use it from several threads at once."""

    @property
    def id(self) -> ServableId:
        """The model's name and the version's number."""

    @property
    def signature_defs(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        """The model's signatures by name."""

    def run(
        self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str], timeout_s: float | None = None
    ) -> Sequence[Array]:
        """Computes outputs of a signature.

        Args:
            signature: the name of the signature.
            inputs: a tensor for each of the signature's inputs.
            outputs: the names of the outputs to compute.
            timeout_s: the time limit in seconds; None is no limit.

        Returns:
            The outputs, in the order of their names.

        Raises:
            StatusError: the model does not accept these inputs, or exceeds the time limit.
        """

    def close(self) -> None:
        """Releases the model's resources. No request may use it afterwards."""


def resolved_spec(servable: Servable, signature: str) -> model_pb2.ModelSpec:
    """The model spec of a response: the version and signature that answered, even if the request did not name them."""
    spec = model_pb2.ModelSpec(name=servable.id.name, signature_name=signature)
    spec.version.value = servable.id.version
    return spec
