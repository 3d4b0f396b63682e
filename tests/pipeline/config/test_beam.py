"""The configuration of Beam's runner, as Beam's own options."""

import os

import pytest
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner
from apache_beam.transforms.environments import DockerEnvironment, ExternalEnvironment, ProcessEnvironment
from tfx.utils import dependency_utils

from pipeline.config.run import RunConfig, load
from pipeline.flink import cluster
from pipeline.run.graph import beam_arguments
from schema.errors import RanklineError, SpecError

FLINK = "{name: flink, job_endpoint: flink:8099, worker_pool: localhost:50000, parallelism: 8}"
SPARK = "{name: spark, master: spark://spark:7077, job_server_jar: /opt/spark.jar, image: shop, workers_per_machine: 4}"
DATAFLOW = (
    "{name: dataflow, project: shop-prod, region: europe-west4, temp_location: gs://shop/tmp, image: shop:1, "
    "staging_location: gs://shop/staging, machine_type: n2-standard-4, disk_gb: 50, workers: 2, max_workers: 20, "
    "service_account: beam@shop-prod.iam.gserviceaccount.com, public_ips: false, "
    "labels: {team: ranking, dataset: shop}, subnetwork: regions/europe-west4/subnetworks/private, "
    "options: [--experiments=shuffle_mode=service]}"
)
DIRECT = "{name: direct, workers: 2, mode: multi_processing, options: [--direct_embed_docker_python]}"


def arguments(beam: str, root: str = "runs") -> list[str]:
    config = load(None, {"root": root}, [f"beam={beam}"])
    return beam_arguments(config)


def options(beam: str) -> PipelineOptions:
    # Dry, because Dataflow's validation would look at the bucket else.
    return PipelineOptions([*arguments(beam), "--dry_run=true"])


@pytest.mark.parametrize(
    ("beam", "for_the_job_server"),
    [(DIRECT, {}), (FLINK, {"execution_mode_for_batch": "BATCH_FORCED"}), (SPARK, {}), (DATAFLOW, {})],
    ids=["direct", "flink", "spark", "dataflow"],
)
def test_beam_knows_every_option_and_finds_nothing_wrong(beam, for_the_job_server):
    parsed = options(beam)
    known, everything = (parsed.get_all_options(retain_unknown_options=retain) for retain in (False, True))
    assert everything == known | for_the_job_server
    runner = create_runner(known["runner"])
    assert PipelineOptionsValidator(parsed, runner).validate() == []


def test_without_a_word_beam_runs_in_this_process():
    runner, *others = beam_arguments(RunConfig())
    assert runner == "--runner=apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"
    assert others == ["--sdk_container_image=none"]


@pytest.mark.parametrize("beam", ["{name: direct}", DIRECT, FLINK, SPARK, DATAFLOW])
def test_tfx_packs_nothing_for_the_workers(beam, monkeypatch):
    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: pytest.fail("50 MB are left behind"))
    asked = arguments(beam)
    assert dependency_utils.make_beam_dependency_flags(asked) == asked


def test_workers_of_this_machine():
    direct = options(DIRECT).view_as(pipeline_options.DirectOptions)
    assert (direct.direct_num_workers, direct.direct_running_mode) == (2, "multi_processing")


def test_a_flink_cluster_elsewhere():
    portable = options(FLINK).view_as(pipeline_options.PortableOptions)
    assert portable.job_endpoint == "flink:8099"
    assert ExternalEnvironment.from_options(portable).url == "localhost:50000"
    assert options(FLINK).view_as(pipeline_options.FlinkRunnerOptions).parallelism == 8


def test_the_flink_cluster_of_this_machine(tmp_path, monkeypatch):
    started = cluster.Cluster(rest="127.0.0.1:1", job_endpoint="127.0.0.1:2", slots=3, pids={"job-server": os.getpid()})
    (tmp_path / ".flink").mkdir()
    (tmp_path / ".flink" / "cluster.json").write_text(started.model_dump_json())
    monkeypatch.setattr(cluster, "_is_ours", lambda pid, root: pid == os.getpid())
    parsed = PipelineOptions(arguments("{name: flink}", str(tmp_path)))
    portable = parsed.view_as(pipeline_options.PortableOptions)
    assert portable.job_endpoint == "127.0.0.1:2"
    assert ProcessEnvironment.from_options(portable).command == str(tmp_path / ".flink" / "worker")
    assert parsed.view_as(pipeline_options.FlinkRunnerOptions).parallelism == 3


def test_a_flink_cluster_that_is_not_there(tmp_path):
    with pytest.raises(
        RanklineError, match=r"^beam: expected a Flink cluster .* found none: .*`rankline flink-up --root"
    ):
        arguments("{name: flink}", str(tmp_path))


def test_spark():
    spark = options(SPARK).view_as(pipeline_options.SparkRunnerOptions)
    assert (spark.spark_master_url, spark.spark_job_server_jar) == ("spark://spark:7077", "/opt/spark.jar")
    portable = options(SPARK).view_as(pipeline_options.PortableOptions)
    assert int(portable.sdk_worker_parallelism) == 4
    assert DockerEnvironment.from_options(portable).container_image == "shop"


def test_dataflow():
    parsed = options(DATAFLOW)
    cloud, worker = (
        parsed.view_as(kind) for kind in (pipeline_options.GoogleCloudOptions, pipeline_options.WorkerOptions)
    )
    assert (cloud.project, cloud.region) == ("shop-prod", "europe-west4")
    assert (cloud.temp_location, cloud.staging_location) == ("gs://shop/tmp", "gs://shop/staging")
    assert cloud.labels == ["team=ranking", "dataset=shop"]
    assert cloud.service_account_email == "beam@shop-prod.iam.gserviceaccount.com"
    assert (worker.num_workers, worker.max_num_workers, worker.disk_size_gb) == (2, 20, 50)
    assert (worker.machine_type, worker.sdk_container_image) == ("n2-standard-4", "shop:1")
    assert (worker.use_public_ips, worker.subnetwork) == (False, "regions/europe-west4/subnetworks/private")
    assert parsed.view_as(pipeline_options.DebugOptions).experiments == ["shuffle_mode=service"]


def test_another_runner_on_the_command_line_takes_nothing_over(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"beam: {DATAFLOW}\n")
    assert load(file, {"beam.name": "direct"}, ()).beam == RunConfig().beam


@pytest.mark.parametrize(
    ("beam", "message"),
    [
        ("{name: flnk}", "beam.name: expected one of direct, flink, spark, dataflow, received 'flnk'; did you"),
        ("{name: direct, worker: 2}", "received 'worker'; did you mean 'workers'?"),
        ("{name: direct, workers: 2}", "beam: expected workers: 1 with mode: in_memory, received 2"),
        (
            "{name: direct, options: [--no_such_thing=1]}",
            "beam.options: expected options that Beam knows, received --no_such_thing",
        ),
        (
            "{name: direct, options: [--runner=SparkRunner]}",
            "beam.options: expected other options than the runner, which is name",
        ),
        (
            "{name: direct, options: [direct_num_workers]}",
            "beam.options: expected --name=value, received direct_num_workers",
        ),
        ("{name: flink, options: [--parallelism=x]}", "invalid int value: 'x'"),
        ("{name: flink, parallelism: 0}", "beam.parallelism: expected a number above 0, received 0"),
        (
            "{name: flink, job_endpoint: flink}",
            "beam.job_endpoint: expected host:port such as 10.0.0.5:8099, received 'flink'",
        ),
        (
            "{name: flink, job_endpoint: 'flink:8099'}",
            "beam: expected worker_pool or image with job_endpoint, received neither",
        ),
        ("{name: flink, image: shop}", "beam: expected job_endpoint with image, received none"),
        (
            "{name: flink, job_endpoint: 'flink:8099', image: shop, worker_pool: 'localhost:1'}",
            "beam: expected worker_pool or image, received both",
        ),
        ("{name: spark, image: shop}", "beam: expected job_endpoint or master, received neither"),
        (
            "{name: spark, master: 'local[2]', image: shop}",
            "beam.master: expected a URL such as spark://10.0.0.5:7077, received 'local[2]'",
        ),
        (
            "{name: spark, job_endpoint: 'spark:8099', job_server_jar: x, image: shop}",
            "beam: expected master with job_server_jar",
        ),
        ("{name: spark, job_endpoint: 'spark:8099'}", "beam: expected worker_pool or image, received neither"),
        ("{name: dataflow, project: 12}", "beam.project: expected text, received 12"),
        (
            DATAFLOW.replace("shop-prod,", "Shop,"),
            "beam.project: expected the id of a Google Cloud project, received 'Shop'",
        ),
        (
            DATAFLOW.replace("gs://shop/tmp", "/var"),
            "beam.temp_location: expected a path such as gs://bucket/tmp, received '/var'",
        ),
        (
            DATAFLOW.replace("max_workers: 20", "max_workers: 1"),
            "beam: expected workers up to max_workers (1), received 2",
        ),
        (DATAFLOW.replace("image: shop:1, ", ""), "beam.image: expected a value, received none"),
    ],
)
def test_mistakes(beam, message):
    with pytest.raises(SpecError) as raised:
        load(None, {}, [f"beam={beam}"])
    assert message in str(raised.value)
