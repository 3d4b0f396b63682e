"""Builds and checks TF Serving's ModelServerConfig: the models to serve, their folders and versions.

Checks and messages follow TF Serving's model_servers/server_core.cc.
"""

import os

from tensorflow_serving.config import model_server_config_pb2
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.server.status import invalid_argument

PLATFORM = "tensorflow"


def of_one_model(name: str, base_path: str) -> ModelServerConfig:
    """The configuration for the flags `--model_name` and `--model_base_path`."""
    config = ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=os.path.abspath(base_path), model_platform=PLATFORM)
    return config


def check(config: ModelServerConfig, before: ModelServerConfig) -> None:
    """Refuses configurations that no server can serve, or that cannot follow the current one.

    Args:
        config: the new configuration.
        before: the current configuration.

    Raises:
        StatusError: a name occurs twice, a path is relative, or a model's platform differs from its former one or from
            TensorFlow's.
    """
    names = set()
    for model in config.model_config_list.config:
        if model.name in names:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
    for model in config.model_config_list.config:
        if "://" not in model.base_path and not os.path.isabs(model.base_path):
            raise invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
    platforms_before = {model.name: _platform(model) for model in before.model_config_list.config}
    for model in config.model_config_list.config:
        if model.name in platforms_before and (platform := _platform(model)) != platforms_before[model.name]:
            raise invalid_argument(
                f"Illegal to change a model's platform. For model {model.name} platform was "
                f"{platforms_before[model.name]} and new platform requested is {platform}"
            )
    for model in config.model_config_list.config:
        if (platform := _platform(model)) != PLATFORM:
            raise invalid_argument(f"Model {model.name} requests unsupported platform {platform}")


def _platform(model: model_server_config_pb2.ModelConfig) -> str:
    platform: str = model.model_platform
    if model.model_type != model_server_config_pb2.MODEL_TYPE_UNSPECIFIED:
        if platform:
            raise invalid_argument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                f"ModelServerConfig::model_platform, model name is {model.name}"
            )
        if model.model_type != model_server_config_pb2.TENSORFLOW:
            raise invalid_argument(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
        return PLATFORM
    if not platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {model.name}"
        )
    return platform
