import itertools
import os
import random
import time
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components import pusher
from components.digests import digest_of
from components.properties import UNCHANGED_PROPERTY
from serving.client import Client
from serving.server import Server, ServerOptions
from tests.forking import started


def push(tmp_path: Path, blessed: bool = True, graph: str = "graph") -> standard_artifacts.PushedModel:
    """Runs the executor on a SavedModel-like folder; returns the artifact that it fills."""
    saved = tmp_path / "model" / "Format-Serving"
    (saved / "assets.extra").mkdir(parents=True, exist_ok=True)
    (saved / "saved_model.pb").write_text(graph)
    (saved / "assets.extra" / "tf_serving_warmup_requests").write_text("records")
    return push_model(tmp_path / "model", tmp_path, blessed)


def push_model(folder: Path, tmp_path: Path, blessed: bool = True) -> standard_artifacts.PushedModel:
    """Runs the executor on the Model artifact in a folder."""
    model = standard_artifacts.Model()
    model.uri = str(folder)
    blessing = standard_artifacts.ModelBlessing()
    blessing.set_int_custom_property("blessed", int(blessed))
    pushed = standard_artifacts.PushedModel()
    pushed.uri = str(tmp_path / "pushed")
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(tmp_path / "serving"))
    )
    pusher.Executor().Do(
        {"model": [model], "model_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {"push_destination": proto_utils.proto_to_json(destination)},
    )
    return pushed


def test_pushes_a_version_with_its_warmup_records(tmp_path):
    before = int(time.time())
    pushed = push(tmp_path)
    (version,) = os.listdir(tmp_path / "serving")
    assert before <= int(version) <= time.time()
    assert (tmp_path / "serving" / version / "saved_model.pb").read_text() == "graph"
    assert (tmp_path / "serving" / version / "assets.extra" / "tf_serving_warmup_requests").exists()
    assert pushed.get_string_custom_property("pushed_destination") == str(tmp_path / "serving" / version)
    assert pushed.get_string_custom_property("pushed_version") == version
    assert (tmp_path / "pushed" / "saved_model.pb").exists()


def test_a_numbered_folder_is_complete_whenever_it_can_be_seen(tmp_path, monkeypatch):
    seen = []
    copy_dir = pusher.io_utils.copy_dir

    def copy_and_look(source: str, target: str) -> None:
        copy_dir(source, target)
        seen.append([name for name in os.listdir(tmp_path / "serving") if name.isdigit()])

    monkeypatch.setattr(pusher.io_utils, "copy_dir", copy_and_look)
    push(tmp_path)
    assert seen[0] == []  # while the files were copied, no server could find them
    assert len(seen[1]) == 1


def test_an_interrupted_push_leaves_no_version_and_is_made_good(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fileio, "rename", lambda *args, **kwargs: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            push(tmp_path)
    assert not any(name.isdigit() for name in os.listdir(tmp_path / "serving"))
    push(tmp_path)
    assert [name.isdigit() for name in os.listdir(tmp_path / "serving")] == [True]


class Killed(BaseException):
    """Nothing of the Pusher's catches it."""


def test_wherever_a_push_is_killed_versions_are_whole_and_the_next_push_makes_it_good(tmp_path, monkeypatch):
    """Before each of its operations on files in turn."""
    for survived in itertools.count():
        folder = tmp_path / str(survived)
        left = iter(range(survived))
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1)  # of another process than the next push
            for name in ("makedirs", "mkdir", "copy", "rename", "rmtree", "remove"):
                operation = getattr(fileio, name)

                def killed_in_time(*args, operation=operation, left=left, **kwargs):
                    if next(left, None) is None:
                        raise Killed
                    return operation(*args, **kwargs)

                patch.setattr(fileio, name, killed_in_time)
            try:
                push(folder)
            except Killed:
                finished = False
            else:
                finished = True
        pushed = push(folder)

        (version,) = os.listdir(folder / "serving")  # and nothing beside it
        assert pushed.get_string_custom_property("pushed_version") == version
        assert digest_of(str(folder / "serving" / version)) == digest_of(str(folder / "model" / "Format-Serving"))
        if finished:
            break
    assert survived > 4  # folder, copies, rename, TFX's own copy


def push_for_ever(models: Sequence[Path], tmp_path: Path, pushed: Connection) -> None:
    for model in itertools.cycle(models):
        push_model(model, tmp_path)
        pushed.send(model)


@pytest.mark.long
def test_a_server_sees_no_half_version_however_often_pushes_are_killed(tmp_path, make_model):
    dice = random.Random(1)  # noqa: S311 (the same moments each time)
    models = [make_model("Linear"), make_model("Reversed")]
    push_model(models[0], tmp_path)
    options = ServerOptions(
        "pushed", str(tmp_path / "serving"), file_system_poll_wait_seconds=0.01, max_num_load_retries=0
    )
    with Server(options) as server, Client(f"127.0.0.1:{server.port}", "pushed") as client:
        for _ in range(10):
            ours, its = Pipe(duplex=False)
            pushing = started(push_for_ever, models, tmp_path, its)
            ours.recv()
            pushing.join(0.1 * dice.random())
            pushing.kill()
            pushing.join()
        push_model(models[0], tmp_path)
        newest = max(int(name) for name in os.listdir(tmp_path / "serving") if name.isdigit())
        client.wait_until_available(60, newest)
        seen = client.status()
    assert len(seen) > 1
    assert {status.error for status in seen} == {""}
    pushed = {digest_of(str(path)) for path in (tmp_path / "serving").iterdir()}
    assert pushed == {digest_of(str(model / "Format-Serving")) for model in models}


def test_a_refused_model_is_not_pushed(tmp_path):
    pushed = push(tmp_path, blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()


def test_versions_ascend_when_the_clock_stands_still_or_goes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    push(tmp_path, graph="first")
    monkeypatch.setattr(time, "time", lambda: 500.0)
    push(tmp_path, graph="second")
    push(tmp_path, graph="third")
    assert sorted(os.listdir(tmp_path / "serving")) == ["1000", "1001", "1002"]


def test_the_newest_version_is_not_pushed_again(tmp_path):
    first = push(tmp_path)
    again = push(tmp_path)
    assert len(os.listdir(tmp_path / "serving")) == 1
    for name in ("pushed_destination", "pushed_version"):
        assert again.get_string_custom_property(name) == first.get_string_custom_property(name)
    unchanged = [pushed.get_int_custom_property(UNCHANGED_PROPERTY) for pushed in (first, again)]
    assert unchanged == [0, 1]


@pytest.mark.parametrize("difference", ["content", "a file more", "a file less"])
def test_a_version_that_differs_a_little_is_not_this_model(tmp_path, difference):
    push(tmp_path)
    (version,) = (tmp_path / "serving").iterdir()
    requests = version / "assets.extra" / "tf_serving_warmup_requests"
    if difference == "content":
        requests.write_text("recorde")  # of the same length
    elif difference == "a file more":
        (version / "more").touch()
    else:
        requests.unlink()
    assert push(tmp_path).get_int_custom_property(UNCHANGED_PROPERTY) == 0
    assert len(os.listdir(tmp_path / "serving")) == 2


def test_a_model_that_another_one_followed_is_pushed_anew(tmp_path):
    push(tmp_path, graph="first")
    push(tmp_path, graph="second")
    push(tmp_path, graph="first")
    newest = max((tmp_path / "serving").iterdir(), key=lambda path: int(path.name))
    assert (newest / "saved_model.pb").read_text() == "first"
    assert len(os.listdir(tmp_path / "serving")) == 3
