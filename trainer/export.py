"""The trained model as a SavedModel over raw columns, with the signatures that servers and evaluators call.

==================  =========================================  ====================================================
signature           inputs                                     outputs
==================  =========================================  ====================================================
serving_default     examples: string [N]                       the answers of `trainer.heads`: probability and logit,
                                                               float32 [N], or what else fits the label
rank                one per raw column, named as the column    the same
classify            inputs: string [N]                         classes: string, and scores: float32, [N, classes];
                                                               not for numbers
regress             inputs: string [N]                         outputs: float32 [N], the probability, expected class or
                                                               number; not for classes that are texts
rank_ids            the context's columns as in rank; items:   the same, and known: bool [N]
                    ids [N]
recommend           the context's columns, each of one row;    items: ids [at most k], titles: string [the same] if
                    k: int32 []; exclude: ids [any]            the dataset has titles, and the answers
transform_features  examples: string [N]                       one per transformed column
==================  =========================================  ====================================================

Strings are serialized tf.Examples, from which any column may be absent. `rank` takes plain tensors: [N] for a univalent
column, [N, any] for a multi-valent one, filled up with `schema.feature_spec.MISSING`, and for columns that are the same
in all rows of a request (a user's, say) [1] or [1, any].

`rank_ids` and `recommend` are signatures of models that know the items of a ranking; `recommend` only if the answers
have an order. An id is int64 or string, as in the files. In `rank_ids`, an id that the model does not know gets the
answers for an item without a description. `recommend` gives the items with the highest answers, the best first, without
those in `exclude`, and fewer than `k` if there are no more.

If the model knows contexts, both signatures need only the group's column. A column that a request leaves out has the
value of the group's latest context, or is missing if the model does not know the group.
"""

from __future__ import annotations

import copy
import keyword
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.core.framework import function_pb2
from tensorflow.core.protobuf import saved_model_pb2

from schema.feature_spec import FeatureSpec
from schema.signatures import (
    EXCLUDE,
    ITEMS,
    KNOWN,
    MOST_RECOMMENDED,
    RANK,
    RANK_IDS,
    RECOMMEND,
    TITLES,
    K,
    own_input,
)
from trainer.heads import Head
from trainer.item_catalogue import ItemCatalogue
from trainer.item_table import ItemTable
from trainer.known_contexts import ContextTable, KnownContexts
from trainer.models.candidates import Candidates
from trainer.models.joint import Joint
from trainer.raw_to_columns import RawTensors, RawToColumns

_METHODS = {
    "classify": tf.saved_model.CLASSIFY_METHOD_NAME,
    "regress": tf.saved_model.REGRESS_METHOD_NAME,
}
"""What TF Serving knows the signatures of its Classify and Regress by."""
_LIST_LENGTH = np.int32(10)
"""The `k` of requests that do not say one."""


class ServedModel(tf.Module):  # type: ignore[misc]
    """A model behind the transform graph that its training data went through.

    Args:
        model: from transformed columns to logits.
        head: from logits to answers.
        spec: the resolved feature spec.
        transform_output: holds the transform graph.
        items: the items that the model knows; None if it knows none.
        contexts: the groups' contexts that the model knows; None if it knows none. They need items.
    """

    def __init__(
        self,
        model: Joint,
        head: Head,
        spec: FeatureSpec,
        transform_output: tft.TFTransformOutput,
        items: ItemTable | None = None,
        contexts: ContextTable | None = None,
    ) -> None:
        super().__init__()
        # What is saved are the attributes that TensorFlow tracks: the transform graph with its lookup tables, and
        # the model's variables. Keras 3's wrappers around these are not restored by the loader of TF Serving, so the
        # model itself hides in a closure.
        self._columns = RawToColumns(spec, transform_output, model.columns)
        self._weights = [variable.value for variable in model.variables]
        self._logits: Callable[[Mapping[str, tf.Tensor]], tf.Tensor] = lambda features: model(features, training=False)
        self._ranked: Callable[[Candidates], tf.Tensor] = lambda candidates: model.ranked(candidates)
        self._head = head
        self._spec = spec
        if not any(spec.side(name) == "context" for name in self._columns.raw):
            items = None  # without a context there is nothing to ask with
        self.items = ItemCatalogue(spec, items, self._columns, self._ranked) if items else None
        """What the model knows of items."""
        self.contexts = KnownContexts(spec, contexts) if items and contexts else None
        """What the model knows of groups."""
        self._own_inputs = {name: own_input(name, self._columns.raw) for name in (ITEMS, K, EXCLUDE) if items}

    def save(self, path: str) -> list[str]:
        """Writes the SavedModel.

        Returns:
            The names of its signatures.
        """
        examples = tf.TensorSpec([None], tf.string, "examples")
        inputs = tf.TensorSpec([None], tf.string, "inputs")
        raw = self._columns.raw
        arguments = _argument_names(dict.fromkeys([*raw, *self._own_inputs.values()]))
        rank_inputs = {name: tf.TensorSpec(each.shape, each.dtype, arguments[name]) for name, each in raw.items()}
        signatures = {
            "serving_default": _compiled(self.predict_examples).get_concrete_function(examples),
            RANK: _compiled(self.rank).get_concrete_function(rank_inputs),
            "transform_features": _compiled(self.transform_examples).get_concrete_function(examples),
        }
        if self._head.has_scores:
            signatures["classify"] = _compiled(self.classify).get_concrete_function(inputs)
        if self._head.has_value:
            signatures["regress"] = _compiled(self.regress).get_concrete_function(inputs)
        if self.items is not None:
            items, k, exclude = (self._own_inputs[name] for name in (ITEMS, K, EXCLUDE))
            context = {name: each for name, each in rank_inputs.items() if self._spec.side(name) == "context"}
            own = {name: tf.TensorSpec([None], self.items.dtype, arguments[name]) for name in (items, exclude)}
            own[k] = tf.TensorSpec([], tf.int32, arguments[k])
            signatures[RANK_IDS] = _compiled(self.rank_ids).get_concrete_function({**context, items: own[items]})
            if self._head.has_value:
                asked = {**context, k: own[k], exclude: own[exclude]}
                signatures[RECOMMEND] = _compiled(self.recommend).get_concrete_function(asked)
        tf.saved_model.save(self, path, signatures=signatures)
        optional = [name for name in rank_inputs if self.contexts and name != self.contexts.group]
        _finish_signatures(path, {argument: name for name, argument in arguments.items()}, optional)
        return list(signatures)

    def known(self) -> dict[str, dict[str, int]]:
        """The numbers of items and contexts that the model knows, and the bytes that these take without texts."""
        tables = {"items": self.items, "contexts": self.contexts}
        return {name: {"count": table.size, "bytes": table.bytes} for name, table in tables.items() if table}

    def predict_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `serving_default`."""
        return self._predict(self._columns.parsed(examples))

    def rank(self, columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Signature `rank`."""
        return self._head.answers(self._ranked(Candidates(*self._columns.candidates(columns))))

    def rank_ids(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Signature `rank_ids`."""
        assert self.items is not None, "it has the signature"
        context, own = self._told_apart(inputs)
        places = self.items.places(tf.ensure_shape(own[ITEMS], [None]))
        return {**self._head.answers(self.items.logits(context, places)), KNOWN: places < self.items.size}

    def recommend(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Signature `recommend`."""
        assert self.items is not None, "it has the signature"
        context, own = self._told_apart(inputs)
        # Servers do not compare shapes with those of the signature, and TensorFlow ends the process for some.
        k, exclude = tf.ensure_shape(own[K], [], name=K), tf.ensure_shape(own[EXCLUDE], [None], name=EXCLUDE)
        with tf.control_dependencies(_checks(context, k, exclude, self.items.size)):
            context = {name: tf.identity(values) for name, values in context.items()}
        places, logits = self.items.best(context, k, exclude, self._head.order)
        titles = self.items.titles(places)
        return {
            ITEMS: self.items.ids(places),
            **({} if titles is None else {TITLES: titles}),
            **self._head.answers(logits),
        }

    def _told_apart(self, inputs: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """The columns of the context, and Rankline's own inputs by what they are."""
        own = {name: inputs[called] for name, called in self._own_inputs.items() if called in inputs}
        context = {name: values for name, values in inputs.items() if name not in self._own_inputs.values()}
        return self.contexts.completed(context) if self.contexts else context, own

    def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `classify`."""
        return {
            "classes": tf.tile([self._head.classes], [tf.size(inputs), 1]),
            "scores": self._head.scores(self._predict(self._columns.parsed(inputs))),
        }

    def regress(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `regress`."""
        return {"outputs": self._head.value(self._predict(self._columns.parsed(inputs)))}

    def transform_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `transform_features`."""
        return self._columns(self._columns.parsed(examples))

    def _predict(self, raw: RawTensors) -> dict[str, tf.Tensor]:
        return self._head.answers(self._logits(self._columns(raw)))


def _checks(
    context: Mapping[str, tf.Tensor], k: tf.Tensor, exclude: tf.Tensor, items: int
) -> Sequence[tf.Operation | None]:
    """Operations that fail where nothing can be recommended; TF Serving then answers INVALID_ARGUMENT."""
    rows = tf.stack([tf.shape(values)[0] for values in context.values()])
    return [
        tf.debugging.Assert(is_fine, [f"{name}: expected {expected}, received", received])
        for name, is_fine, expected, received in (
            (K, (k > 0) & (k <= MOST_RECOMMENDED), f"1 to {MOST_RECOMMENDED:,}", k),
            (EXCLUDE, tf.size(exclude) <= items, f"no more ids than the catalogue has, {items:,}", tf.size(exclude)),
            ("context", tf.reduce_all(rows == 1), "one row of each column", rows),
        )
    ]


def _compiled(function: Callable[..., dict[str, tf.Tensor]]) -> Any:
    """A TensorFlow function; none of ours has a branch or a loop, which autograph would look for at length."""
    return tf.function(function, autograph=False)


def _argument_names(columns: Iterable[str]) -> dict[str, str]:
    """A name for each of a function's arguments: TensorFlow takes those that Python takes, in ASCII, but not `self`."""
    columns = list(columns)
    taken = {"self", *keyword.kwlist}
    if all(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) and name not in taken for name in columns):
        return {name: name for name in columns}
    return {name: f"column_{index}" for index, name in enumerate(columns)}


def _finish_signatures(path: str, columns: Mapping[str, str], optional: Sequence[str]) -> None:
    """Tells TF Serving what `tf.saved_model.save` cannot.

    Args:
        path: the SavedModel's folder.
        columns: argument of a signature -> what it is called in requests.
        optional: the columns of a context that requests by ids may leave out.
    """
    file = os.path.join(path, tf.saved_model.SAVED_MODEL_FILENAME_PB)
    with tf.io.gfile.GFile(file, "rb") as content:
        saved_model = saved_model_pb2.SavedModel.FromString(content.read())
    _say_what_must_run(saved_model.meta_graphs[0].graph_def.library)
    signatures = saved_model.meta_graphs[0].signature_def
    for name, method in _METHODS.items():
        if name in signatures:
            signatures[name].method_name = method
    for name in (RANK, RANK_IDS, RECOMMEND):
        if name in signatures:
            inputs = {columns[argument]: copy.deepcopy(info) for argument, info in signatures[name].inputs.items()}
            signatures[name].ClearField("inputs")
            for column, info in inputs.items():
                signatures[name].inputs[column].CopyFrom(info)
    for signature in (signatures[name] for name in (RANK_IDS, RECOMMEND) if name in signatures):
        for column in signature.inputs.keys() & set(optional):
            info = signature.inputs[column]
            nothing = np.empty([0] * len(info.tensor_shape.dim), tf.as_dtype(info.dtype).as_numpy_dtype)
            signature.defaults[column].CopyFrom(tf.make_tensor_proto(nothing))
    if RECOMMEND in signatures:
        signature = signatures[RECOMMEND]
        k, exclude = (own_input(name, signatures[RANK].inputs) for name in (K, EXCLUDE))
        ids = tf.as_dtype(signature.inputs[exclude].dtype).as_numpy_dtype
        signature.defaults[k].CopyFrom(tf.make_tensor_proto(_LIST_LENGTH))
        signature.defaults[exclude].CopyFrom(tf.make_tensor_proto(np.array([], ids)))
    with tf.io.gfile.GFile(file, "wb") as content:
        content.write(saved_model.SerializeToString())


def _say_what_must_run(library: function_pb2.FunctionDefLibrary) -> None:
    """Marks the lookups in functions that were made from graphs, as the transform graph's, as what calls wait for.

    TensorFlow takes lookups for side effects, and a function whose side effects nobody waits for is not inlined: its
    call would cost a ranking of one candidate a third of its time.
    """
    for function in library.function:
        if not function.control_ret:
            for node in function.node_def:
                if node.op.startswith("LookupTableFind"):
                    name = node.name.replace("/", "_")
                    function.control_ret[name] = node.name
                    function.signature.control_output.append(name)
