"""What the server needs a loaded model to be able to do, whatever it is made of."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import model_pb2

from serving.tensors import Array

DEFAULT_SIGNATURE = "serving_default"


class ServableId(NamedTuple):
    """One version of one model."""

    name: str
    version: int


class Servable(Protocol):
    """One loaded version of one model. Requests use it from several threads at once."""

    @property
    def id(self) -> ServableId:
        """Which version of which model it is."""

    @property
    def signature_defs(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        """The model's signatures by name."""

    def run(
        self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str], timeout_s: float | None = None
    ) -> Sequence[Array]:
        """Computes outputs of one signature.

        Args:
            signature: its name.
            inputs: a tensor for each of the signature's inputs.
            outputs: names of some of its outputs.
            timeout_s: seconds after which to give up; None never does.

        Returns:
            The outputs, in that order.

        Raises:
            StatusError: the model does not take these inputs, or takes longer.
        """

    def close(self) -> None:
        """Gives back what it holds. No request uses it any more."""


def resolved_spec(servable: Servable, signature: str) -> model_pb2.ModelSpec:
    """Says in a response what answered: the very version and signature, also if the request left them open."""
    spec = model_pb2.ModelSpec(name=servable.id.name, signature_name=signature)
    spec.version.value = servable.id.version
    return spec
