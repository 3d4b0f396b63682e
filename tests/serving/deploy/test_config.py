"""The configuration files: TF Serving can read each, and has all of their flags."""

from pathlib import Path

import pytest
from tensorflow.core.protobuf.config_pb2 import ConfigProto
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from pipeline.run.layout import Layout
from serving.server import config_files, monitoring
from tests.manifests import documents
from tests.serving.deploy.files import DEPLOY, composed, flags, settings

MESSAGES = {
    "config/batching_parameters.config": config_files.BatchingParameters,
    "config/batching_params.pbtxt": config_files.BatchingParameters,
    "config/models.config": ModelServerConfig,
    "config/monitoring.config": config_files.MonitoringConfig,
    "config/session.config": ConfigProto,
    "kubernetes/bucket/models.config": ModelServerConfig,
}

KNOWN_FLAGS = """
    allow_version_labels_for_unavailable_models batching_parameters_file enable_batching
    enable_grpc_healthcheck_service enable_model_warmup enable_per_model_batching_parameters enable_profiler
    enable_serialization_as_tensor_content enable_signature_method_name_check file_system_poll_wait_seconds
    flush_filesystem_caches grpc_channel_arguments grpc_max_threads grpc_socket_path load_retry_interval_micros
    max_num_load_retries mixed_precision model_base_path model_config_file model_config_file_poll_wait_seconds
    model_name monitoring_config_file num_load_threads num_request_iterations_for_warmup
    num_tflite_interpreters_per_pool num_tflite_pools num_unload_threads per_process_gpu_memory_fraction
    platform_config_file port prefer_tflite_model remove_unused_fields_from_bundle_metagraph
    rest_api_enable_cors_support rest_api_num_threads rest_api_port rest_api_timeout_in_ms saved_model_tags
    skip_initialize_tpu ssl_config_file tensorflow_inter_op_parallelism tensorflow_intra_op_parallelism
    tensorflow_session_config_file tensorflow_session_parallelism thread_pool_factory_config_file
    use_alts_credentials version xla_cpu_compilation_enabled xla_gpu_compilation_enabled
"""
"""Of tensorflow_model_server, by TF Serving's model_servers/main.cc of version 2.20.0."""


def read(file):
    return config_files.read(str(DEPLOY / file), MESSAGES[file])


def test_no_file_is_forgotten():
    files = {path for pattern in ("*.config", "*.pbtxt") for path in DEPLOY.rglob(pattern)}
    assert {str(path.relative_to(DEPLOY)) for path in files} == set(MESSAGES)


@pytest.mark.parametrize("file", MESSAGES)
def test_a_file_is_of_its_message(file):
    assert read(file).ListFields()


@pytest.mark.parametrize("file", MESSAGES)
def test_a_mistake_is_found(file, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text((DEPLOY / file).read_text() + "\nno_such_field: 1\n")

    with pytest.raises(config_files.ConfigFileError, match="no_such_field"):
        config_files.read(str(wrong), MESSAGES[file])


def test_the_model_lies_where_runs_push_it():
    name = settings()["MODEL_NAME"]
    runs = Path("runs")
    pushed = Layout(runs, name).serving.relative_to(runs)

    (volume,) = read("config/models.config").model_config_list.config
    (bucket,) = read("kubernetes/bucket/models.config").model_config_list.config
    assert (volume.name, volume.base_path) == (name, f"/models/{pushed}")
    assert (bucket.name, bucket.base_path) == (name, f"gs://BUCKET/{pushed}")


def test_metrics_are_where_prometheus_looks_for_them():
    (scraped,) = documents((DEPLOY / "monitoring" / "prometheus.yaml").read_text())[0]["scrape_configs"]
    configured = read("config/monitoring.config").prometheus_config

    assert configured.enable
    assert scraped["metrics_path"] == configured.path == monitoring.PATH


def test_every_flag_is_tf_servings():
    (service,) = documents((DEPLOY / "kserve" / "inference-service.yaml").read_text())
    used = flags(composed()["command"]) | flags(service["spec"]["predictor"]["model"]["args"])

    assert set(used) <= set(KNOWN_FLAGS.split())
