"""Configuration files of `tensorflow_model_server`: protocol messages in text format.

The package `tensorflow-serving-api` lacks some of these messages. They are defined here, field by field, after TF
Serving's config/{ssl_config,monitoring_config}.proto and servables/tensorflow/session_bundle_config.proto, so that
its files can be read unchanged.
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
# A separate pool, so that the real definitions can be loaded into the same process.
_POOL = descriptor_pool.DescriptorPool()
_wrappers = descriptor_pb2.FileDescriptorProto()
wrappers_pb2.DESCRIPTOR.CopyToProto(_wrappers)
_POOL.Add(_wrappers)
_POOL.Add(text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto()))


class ConfigFileError(Exception):
    """A configuration file cannot be read or has other contents."""


def _message_class(name: str) -> type[Any]:
    found: type[Any] = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"tensorflow.serving.{name}"))
    return found


SslConfig = _message_class("SSLConfig")
"""TLS: `server_key`, `server_cert` and `custom_ca` as PEM text, and `client_verify`."""

MonitoringConfig = _message_class("MonitoringConfig")
"""Monitoring: `prometheus_config`, with `enable` for a page of metrics and its `path`."""

BatchingParameters = _message_class("BatchingParameters")
"""Batching: the sizes of batches, and how long requests wait for each other."""


def read(path: str, message_class: type[AnyMessage]) -> AnyMessage:
    """Reads a configuration file.

    Args:
        path: the path of the file.
        message_class: the type of the message in it.

    Raises:
        ConfigFileError: the file cannot be read, or does not hold such a message.
    """
    message: AnyMessage = message_class()
    try:
        text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        name = message_class.DESCRIPTOR.name
        raise ConfigFileError(f"{path}: expected {name} in text format, received {error}") from error
    return message
