"""Loading SavedModels, good and bad."""

import numpy as np
import pytest
import tensorflow as tf
from grpc import StatusCode

from serving.server.saved_model import SavedModel
from serving.server.servable import ServableId
from serving.server.status import StatusError

ID = ServableId("toy", 7)


def failure(path) -> tuple[StatusCode, str]:
    with pytest.raises(StatusError) as error:
        SavedModel(ID, str(path))
    return error.value.code, error.value.message.replace(str(path), "PATH")


def test_signatures_and_id(toy_models):
    model = SavedModel(ID, str(toy_models[1]))

    assert model.id == ("toy", 7)
    assert {"rank", "serving_default", "classify", "regress", "echo"} <= model.signature_defs.keys()
    model.close()


def test_versions_do_not_share_anything(toy_models):
    """Version 1 has scale 0.1, version 2 has 0.2, and both know their own."""
    first, second = (SavedModel(ServableId("toy", version), str(toy_models[version])) for version in (1, 2))
    inputs = {
        "user": np.array([b""], object),
        "age": np.array([np.nan], np.float32),
        "item": np.array([10], np.int64),
        "genres": np.array([[b""]], object),
    }

    assert first.run("rank", inputs, ["logit"])[0] == pytest.approx(1.0)
    assert second.run("rank", inputs, ["logit"])[0] == pytest.approx(2.0)
    first.close()
    assert second.run("rank", inputs, ["logit"])[0] == pytest.approx(2.0)
    second.close()


def test_outputs_come_in_the_order_asked_for(toy):
    inputs = {
        "user": np.array([b""], object),
        "age": np.array([np.nan], np.float32),
        "item": np.array([0], np.int64),
        "genres": np.array([[b""]], object),
    }

    assert [array.tolist() for array in toy.run("rank", inputs, ["logit", "probability"])] == [[0.0], [0.5]]
    assert [array.tolist() for array in toy.run("rank", inputs, ["probability", "logit"])] == [[0.5], [0.0]]


def test_tables_and_assets_are_initialised(tmp_path):
    """A vocabulary in a file: a is 0, b is 1, anything else -1."""
    (tmp_path / "vocabulary").write_text("a\nb\n")

    class Lookup(tf.Module):
        def __init__(self):
            super().__init__()
            initializer = tf.lookup.TextFileInitializer(
                str(tmp_path / "vocabulary"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
            )  # fmt: skip
            self.table = tf.lookup.StaticHashTable(initializer, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
        def find(self, words):
            return {"ids": self.table.lookup(words)}

    module = Lookup()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"find": module.find})
    (tmp_path / "vocabulary").unlink()

    model = SavedModel(ID, str(tmp_path / "1"))

    words = np.array([b"b", b"c", b"a"], object)
    assert model.run("find", {"words": words}, ["ids"])[0].tolist() == [1, -1, 0]
    model.close()


def test_an_empty_folder(tmp_path):
    assert failure(tmp_path) == (
        StatusCode.NOT_FOUND,
        "Could not find SavedModel .pb or .pbtxt at supplied export directory path: PATH. "
        "Check that the directory exists and that you have the right permissions for accessing it.",
    )


def test_a_damaged_graph(push):
    path = push(1)
    (path / "saved_model.pb").write_bytes(b"\x01garbage")

    code, message = failure(path)

    assert code == StatusCode.FAILED_PRECONDITION
    assert "Cannot parse file" in message


def test_missing_variables(push):
    path = push(1)
    (path / "variables" / "variables.index").unlink()

    code, message = failure(path)

    assert code == StatusCode.FAILED_PRECONDITION
    assert "PATH/variables/variables" in message


def test_cut_off_variables(push):
    path = push(1)
    for file in (path / "variables").glob("variables.data-*"):
        file.write_bytes(b"")

    assert failure(path)[0] in (StatusCode.OUT_OF_RANGE, StatusCode.DATA_LOSS)


def test_a_model_for_something_else(tmp_path):
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "1"))
        builder.add_meta_graph_and_variables(session, ["train"])
        builder.save()

    code, message = failure(tmp_path / "1")

    assert code == StatusCode.FAILED_PRECONDITION
    assert "MetaGraphDef associated with tags 'serve' could not be found" in message


def test_what_takes_too_long_is_stopped(tmp_path):
    """A billion steps would take minutes."""

    class Counting(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.int64, "steps")])
        def count(self, steps):
            return {"steps": tf.while_loop(lambda i: i < steps, lambda i: [i + 1], [tf.constant(0, tf.int64)])[0]}

    tf.saved_model.save(counting := Counting(), str(tmp_path), signatures={"count": counting.count})
    model = SavedModel(ID, str(tmp_path))
    assert model.run("count", {"steps": np.array(10)}, ["steps"], timeout_s=60) == [10]

    with pytest.raises(StatusError) as error:
        model.run("count", {"steps": np.array(10**9)}, ["steps"], timeout_s=0.2)

    assert error.value.code == StatusCode.DEADLINE_EXCEEDED
    model.close()
