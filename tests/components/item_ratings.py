"""Examples of an item, which may be missing, and a rating; and the pipelines that process them in tests."""

import apache_beam as beam
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from pipeline.config.beam import Direct

SCHEMA = text_format.Parse(
    """
    feature { name: "item" type: BYTES }
    feature { name: "rating" type: FLOAT presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } } }
    """,
    schema_pb2.Schema(),
)


def example(item: str | None, rating: float) -> tf.train.Example:
    made = tf.train.Example()
    made.features.feature["rating"].float_list.value.append(rating)
    item_feature = made.features.feature["item"]  # without a value where there is no item
    if item is not None:
        item_feature.bytes_list.value.append(item.encode())
    return made


def pipeline() -> beam.Pipeline:
    """As in a run of ours: one worker, whose order is known."""
    return beam.Pipeline(argv=Direct().arguments())
