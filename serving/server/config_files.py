"""Configuration files of `tensorflow_model_server`: protocol messages in text format.

Messages that the package of its API leaves out are written out here, field by field, after TF Serving's
config/{ssl_config,monitoring_config}.proto and servables/tensorflow/session_bundle_config.proto, so that files for it
are read unchanged.
"""

from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message

AnyMessage = TypeVar("AnyMessage", bound=Message)

_SCHEMA = """
name: "rankline/serving_config.proto"
package: "tensorflow.serving"
syntax: "proto3"
dependency: "google/protobuf/wrappers.proto"
message_type {
  name: "SSLConfig"
  field { name: "server_key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "server_cert" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "custom_ca" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "client_verify" number: 4 type: TYPE_BOOL label: LABEL_OPTIONAL }
}
message_type {
  name: "PrometheusConfig"
  field { name: "enable" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL }
  field { name: "path" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type {
  name: "MonitoringConfig"
  field {
    name: "prometheus_config" number: 1 type: TYPE_MESSAGE type_name: ".tensorflow.serving.PrometheusConfig"
    label: LABEL_OPTIONAL
  }
}
message_type {
  name: "BatchingParameters"
  field {
    name: "max_batch_size" number: 1 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value"
    label: LABEL_OPTIONAL
  }
  field {
    name: "batch_timeout_micros" number: 2 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value"
    label: LABEL_OPTIONAL
  }
  field {
    name: "max_enqueued_batches" number: 3 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value"
    label: LABEL_OPTIONAL
  }
  field {
    name: "num_batch_threads" number: 4 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value"
    label: LABEL_OPTIONAL
  }
  field {
    name: "thread_pool_name" number: 5 type: TYPE_MESSAGE type_name: ".google.protobuf.StringValue"
    label: LABEL_OPTIONAL
  }
  field { name: "allowed_batch_sizes" number: 6 type: TYPE_INT64 label: LABEL_REPEATED }
  field { name: "pad_variable_length_inputs" number: 7 type: TYPE_BOOL label: LABEL_OPTIONAL }
  field {
    name: "enable_large_batch_splitting" number: 8 type: TYPE_MESSAGE type_name: ".google.protobuf.BoolValue"
    label: LABEL_OPTIONAL
  }
  field {
    name: "max_execution_batch_size" number: 9 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value"
    label: LABEL_OPTIONAL
  }
}
"""
# A pool of its own: whoever has the real definitions may load them as well.
_POOL = descriptor_pool.DescriptorPool()
_wrappers = descriptor_pb2.FileDescriptorProto()
wrappers_pb2.DESCRIPTOR.CopyToProto(_wrappers)
_POOL.Add(_wrappers)
_POOL.Add(text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto()))


class ConfigFileError(Exception):
    """A configuration file that cannot be used."""


def _message_class(name: str) -> type[Any]:
    found: type[Any] = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"tensorflow.serving.{name}"))
    return found


SslConfig = _message_class("SSLConfig")
"""`server_key`, `server_cert` and `custom_ca`, each as PEM text, and whether clients need a certificate."""

MonitoringConfig = _message_class("MonitoringConfig")
"""`prometheus_config`: whether there is a page of metrics (`enable`), and where (`path`)."""

BatchingParameters = _message_class("BatchingParameters")
"""How many examples are computed at once, and how long requests wait for each other."""


def read(path: str, message_class: type[AnyMessage]) -> AnyMessage:
    """What a file says.

    Args:
        path: of the file.
        message_class: what it should hold.

    Raises:
        ConfigFileError: it cannot be read, or holds something else.
    """
    message: AnyMessage = message_class()
    try:
        text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        name = message_class.DESCRIPTOR.name
        raise ConfigFileError(f"{path}: expected {name} in text format, received {error}") from error
    return message
