import pytest

from pipeline.config.kubeflow import Kubeflow, Task
from pipeline.config.run import load
from schema.errors import SpecError

LEAST = "kubeflow={image: 'i:1', volumes: [{claim: c, path: /data}], root: /data/runs}"


def kubeflow(*settings: str) -> Kubeflow:
    return load(None, {}, [LEAST, *settings]).kubeflow


def test_an_image_a_volume_and_a_root_on_it_suffice():
    section = kubeflow()
    assert section.of_task("Trainer") == Task()
    assert (str(section.root), section.dataset, section.env) == ("/data/runs", None, {})


def test_what_is_said_of_a_task_goes_before_what_is_said_of_all():
    section = kubeflow("kubeflow.task={cpu: 2, retries: 5}", "kubeflow.tasks={Trainer: {memory: 8Gi, retries: 0}}")
    assert section.of_task("Transform") == Task(cpu="2", retries=5)
    assert section.of_task("Trainer") == Task(cpu="2", memory="8Gi", retries=0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("kubeflow={image: i}", "kubeflow.volumes: expected a value, received none\n"
         "configuration: kubeflow.root: expected a value, received none"),
        ("kubeflow.volumes=[]", "kubeflow.volumes: expected one or more, received none"),
        ("kubeflow.volumes=[{claim: My_Claim, path: /data}]",
         "kubeflow.volumes[0].claim: expected a Kubernetes name such as rankline-data, received 'My_Claim'"),
        ("kubeflow.volumes=[{claim: c, path: data}]",
         "kubeflow.volumes[0].path: expected an absolute path without .., received 'data'"),
        ("kubeflow.volumes=[{claim: c, path: /data, sub_path: ../other}]",
         "kubeflow.volumes[0].sub_path: expected a path in the volume, without .., received '../other'"),
        ("kubeflow.root=/runs", "kubeflow.root: expected a path on one of the volumes (/data), received '/runs'"),
        ("kubeflow.root=/database",
         "kubeflow.root: expected a path on one of the volumes (/data), received '/database'"),
        ("kubeflow.root=/data/../etc", "kubeflow.root: expected an absolute path without .., received '/data/../etc'"),
        ("kubeflow.root='gs://bucket/runs'",
         "kubeflow.root: expected an absolute path without .., received 'gs:/bucket/runs'"),
        ("kubeflow.task.cpu=two", "kubeflow.task.cpu: expected cores such as 2, 0.5 or 500m, received 'two'"),
        ("kubeflow.task.memory=8GB", "kubeflow.task.memory: expected bytes such as 8Gi or 512Mi, received '8GB'"),
        ("kubeflow.task.retries=-1", "kubeflow.task.retries: expected a number of at least 0, received -1"),
        ("kubeflow.task.backoff_max_seconds=7200",
         "kubeflow.task.backoff_max_seconds: expected a number of at most 3600, received 7200"),
        ("kubeflow.task.timeout_seconds=0", "kubeflow.task.timeout_seconds: expected a number above 0, received 0"),
        ("kubeflow.task.gpu=1",
         "kubeflow.task: expected gpu in tasks (Tuner, Trainer, Evaluator), received it for every task"),
        ("kubeflow.tasks={SchemaGen: {gpu: 1}}",
         "kubeflow.tasks: expected gpu for Tuner, Trainer, Evaluator, which use it, received it for SchemaGen"),
        ("kubeflow.tasks={Trainer: {gpus: 1}}", "kubeflow.tasks.Trainer.gpus: expected one of the keys cpu, cpu_limit, "
         "memory, memory_limit, gpu, gpu_type, node_selector, tolerations, retries, backoff_seconds, backoff_factor, "
         "backoff_max_seconds, timeout_seconds, received 'gpus'; did you mean 'gpu'?"),
        ("kubeflow.task.tolerations=[{key: spot, operator: Exists, value: x}]",
         "kubeflow.task.tolerations[0]: expected no value with 'operator: Exists', received 'x'"),
        ("kubeflow.task.tolerations=[{effect: NoSchedule}]", "kubeflow.task.tolerations[0]: expected a key with "
         "'operator: Equal', received none; 'operator: Exists' matches any taint"),
        ("kubeflow.task.tolerations=[{key: spot, effect: NoExcute}]", "kubeflow.task.tolerations[0].effect: expected "
         "one of NoSchedule, PreferNoSchedule, NoExecute, received 'NoExcute'; did you mean 'NoExecute'?"),
        ("kubeflow.env={my-name: x}",
         "kubeflow.env.my-name: expected the name of an environment variable, received 'my-name'"),
        ("kubeflow.secrets={PASSWORD: {secret: s}}", "kubeflow.secrets.PASSWORD.key: expected a value, received none"),
    ],
)  # fmt: skip
def test_mistakes(setting, message):
    with pytest.raises(SpecError) as caught:
        kubeflow(setting)
    assert str(caught.value) == f"configuration: {message}"


def test_a_variable_is_a_secret_or_not():
    with pytest.raises(SpecError, match=r"kubeflow\.secrets: expected other variables than in env, received A in both"):
        kubeflow("kubeflow.env={A: x}", "kubeflow.secrets={A: {secret: s, key: k}}")
