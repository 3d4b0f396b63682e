"""The Trainer component's function on a small dataset, as TFX calls it."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from schema.errors import DataError, SpecError
from schema.feature_spec import LABEL
from trainer import task
from trainer.params import TrainParams
from trainer.task import run_fn

PARAMS = TrainParams(epochs=3, patience=9, batch_size=64, hidden_units=(8,), dropout=0.2)


class Killed(BaseException):
    pass


def history(output: Path) -> dict:
    return json.loads((output / "history.json").read_text())


def without_times(content: dict) -> dict:
    epochs = [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in content["epochs"]]
    return content | {"epochs": epochs}


def logits(toy, output: Path) -> list[float]:
    model = tf.saved_model.load(str(output / "Format-Serving"))
    examples = [toy.example(row) for row in toy.rows["test"]]
    return model.signatures["serving_default"](examples=tf.constant(examples))["logit"].numpy().tolist()


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of a run's output and of its checkpoints."""
    output, work = tmp_path_factory.mktemp("output"), tmp_path_factory.mktemp("work")
    run_fn(toy.fn_args(output, work, PARAMS, warmup_examples=str(toy.raw / "Split-eval" / "*")))
    return output, work


def test_it_leaves_a_model_with_its_history(toy, trained: tuple[Path, Path]) -> None:
    output, work = trained
    assert len(set(logits(toy, output))) > 10
    assert (output / "Format-Serving" / "assets.extra" / "tf_serving_warmup_requests").exists()
    content = history(output)
    assert content["train_rows"] == 400
    assert len(content["epochs"]) == 3
    assert set(content["epochs"][0]) == {"loss", "eval_loss", "eval_auc", "seconds"}
    aucs = [epoch["eval_auc"] for epoch in content["epochs"]]
    assert content["best_epoch"] == aucs.index(max(aucs)) + 1
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(("most", "known"), [(30, 30), (29, 0)])
def test_the_model_knows_the_items_unless_there_are_too_many(toy, tmp_path: Path, most: int, known: int) -> None:
    movies = [f"movie {movie}" for movie in range(30)]
    table = pa.table({"movie": movies, "genres": [["war"]] * 30, "price in €": pa.array([1.0] * 30, pa.float32())})
    pq.write_table(table, tmp_path / "items.parquet")
    params = PARAMS.model_copy(update={"epochs": 1})
    config = {"items": str(tmp_path / "items.parquet"), "served_items": str(most)}
    run_fn(toy.fn_args(tmp_path / "output", tmp_path / "work", params, **config))
    signatures = tf.saved_model.load(str(tmp_path / "output" / "Format-Serving")).signatures
    assert ("recommend" in signatures, "rank_ids" in signatures) == (known > 0, known > 0)
    noted = history(tmp_path / "output")["known"]
    assert noted == {} if not known else noted["items"]["count"] == known and noted["items"]["bytes"] > 0


def test_tensorboard_logs(trained: tuple[Path, Path]) -> None:
    output, _ = trained
    (path,) = (output / "run").glob("events.*")
    events = [
        tf.compat.v1.Event.FromString(record) for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    seen = {(value.tag, event.step): value.simple_value for event in events for value in event.summary.value}
    for index, epoch in enumerate(history(output)["epochs"]):
        assert seen["eval_auc", index + 1] == pytest.approx(epoch["eval_auc"])
        assert seen["loss", index + 1] == pytest.approx(epoch["loss"])


def test_a_killed_run_goes_on_elsewhere(toy, trained: tuple[Path, Path], tmp_path: Path, monkeypatch, caplog) -> None:
    """TFX calls again with other output folders; the checkpoints are found all the same, and the result is the same."""

    def kill(index: int, epoch: object) -> None:
        if index == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(task, "_report", kill)
        with pytest.raises(Killed):
            run_fn(toy.fn_args(tmp_path / "first", tmp_path / "work", PARAMS))
    assert not (tmp_path / "first" / "Format-Serving").exists()
    with caplog.at_level(logging.INFO, logger="trainer"):
        run_fn(toy.fn_args(tmp_path / "second", tmp_path / "work", PARAMS))
    assert "going on after epoch 2" in caplog.text
    assert without_times(history(tmp_path / "second")) == without_times(history(trained[0]))
    assert logits(toy, tmp_path / "second") == logits(toy, trained[0])
    # The second run's logs are whole.
    (path,) = (tmp_path / "second" / "run").glob("events.*")
    events = [
        tf.compat.v1.Event.FromString(record) for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    assert {event.step for event in events if event.summary.value} == {1, 2, 3}


def test_a_run_that_is_killed_while_it_cleans_up_is_made_good(
    toy, trained: tuple[Path, Path], tmp_path: Path, monkeypatch
) -> None:
    """With some of its checkpoints gone and others there, TFX calls again."""

    def remove_one_and_die(folder: str) -> None:
        shutil.rmtree(Path(folder) / "best")
        raise Killed

    work = tmp_path / "work"
    with monkeypatch.context() as patch:
        patch.setattr(tf.io.gfile, "rmtree", remove_one_and_die)
        with pytest.raises(Killed):
            run_fn(toy.fn_args(tmp_path / "first", work, PARAMS))
    assert [path.name for path in work.glob("*/*")] == ["last"]
    run_fn(toy.fn_args(tmp_path / "second", work, PARAMS))
    assert logits(toy, tmp_path / "second") == logits(toy, trained[0])
    assert list(work.iterdir()) == []


def test_a_model_that_is_only_counted_has_no_checkpoints_to_remove(toy, tmp_path: Path) -> None:
    run_fn(toy.fn_args(tmp_path / "output", tmp_path / "work", PARAMS.model_copy(update={"model": "cooccurrence"})))
    assert history(tmp_path / "output")["best_epoch"] == 1


def test_other_parameters_are_another_training(toy, tmp_path: Path) -> None:
    args = toy.fn_args(tmp_path, tmp_path, PARAMS)
    other = toy.fn_args(tmp_path, tmp_path, PARAMS.model_copy(update={"seed": 1}))
    same = toy.fn_args(tmp_path / "elsewhere", tmp_path, PARAMS)
    first, second, third = (task.fingerprint(each, each.custom_config) for each in (args, same, other))
    assert first == second != third


def test_it_reads_train_and_eval_only_and_tells_of_each_epoch(toy, tmp_path: Path, monkeypatch, caplog) -> None:
    """As it does with splits that do not fit in memory."""
    opened: list[str] = []
    read = task.inputs.read

    def read_without_memory(
        patterns: list[str], columns: object, weighted: bool, memory_bytes: int, labels: object
    ) -> object:
        assert memory_bytes == PARAMS.memory_mb * 1024 * 1024
        opened.extend(patterns)
        return read(patterns, columns, weighted, 0, labels)

    monkeypatch.setattr(task.inputs, "read", read_without_memory)
    with caplog.at_level(logging.INFO, logger="trainer"):
        run_fn(toy.fn_args(tmp_path / "output", tmp_path / "work", PARAMS.model_copy(update={"model": "wide"})))
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("trainer")]
    assert lines[0].startswith("wide: ")
    assert [line.partition(":")[0] for line in lines[1:]] == ["epoch 1", "epoch 2", "epoch 3"]
    assert [Path(pattern).parent.name for pattern in opened] == ["Split-train", "Split-eval"]


def labelled(source: Path, target: Path, label: float | None) -> str:
    """Transformed examples with one label in all, or (None) no examples."""
    target.parent.mkdir(parents=True, exist_ok=True)
    (file,) = source.iterdir()
    with tf.io.TFRecordWriter(str(target), "GZIP") as writer:
        for record in tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator() if label is not None else ():
            example = tf.train.Example.FromString(record)
            example.features.feature[LABEL].float_list.value[:] = [label]
            writer.write(example.SerializeToString())
    return str(target)


@pytest.mark.parametrize("split", ["train", "eval"])
@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "{} split: expected rows, received none"),
        (0.0, "{} split: expected labels of both classes, received only 0 in"),
        (1.0, "{} split: expected labels of both classes, received only 1 in"),
    ],
)
def test_data_that_cannot_be_learned_from(toy, tmp_path: Path, split: str, label: float | None, message: str) -> None:
    args = toy.fn_args(tmp_path / "output", tmp_path / "work", PARAMS)
    changed = [labelled(toy.transformed / f"Split-{split}", tmp_path / "changed" / "examples.gz", label)]
    setattr(args, f"{split}_files", changed)
    with pytest.raises(DataError, match=message.format(split)):
        run_fn(args)
    assert not (tmp_path / "output").exists()


def test_an_unknown_model(toy, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="received 'depe'; did you mean 'deep'"):
        run_fn(toy.fn_args(tmp_path, tmp_path, PARAMS.model_copy(update={"model": "depe"})))
