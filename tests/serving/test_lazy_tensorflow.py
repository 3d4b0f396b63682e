"""Parts of TensorFlow that load without the rest, each case in an interpreter of its own."""

import subprocess
import sys

import pytest

from serving import lazy_tensorflow

CLIENT_NEEDS_NO_TENSORFLOW = """
import sys
import serving.client
assert not any(name.startswith(("tensorflow.python", "keras")) for name in sys.modules)
"""

SERVER_NEEDS_NO_KERAS = """
import sys
import serving.server.saved_model
assert "tensorflow.python.client.session" in sys.modules
assert not any(name.startswith(("tensorflow._api", "keras")) for name in sys.modules)
"""

ALL_OF_IT_IS_THERE_WHEN_ASKED_FOR = """
import threading
import serving.server.saved_model
import tensorflow
import tensorflow as tf

results = []
threads = [threading.Thread(target=lambda: results.append(tf.constant([1.0, 2.0]).numpy().sum())) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert results == [3.0] * 4, results
assert tf.executing_eagerly()
assert tf.keras.layers.Dense(1)(tf.ones([2, 3])).shape == [2, 1]
assert type(tf).__name__ == "module"
try:
    tf.no_such_thing
except AttributeError:
    pass
else:
    raise AssertionError
"""


@pytest.mark.parametrize(
    "script",
    [CLIENT_NEEDS_NO_TENSORFLOW, SERVER_NEEDS_NO_KERAS, ALL_OF_IT_IS_THERE_WHEN_ASKED_FOR],
    ids=["client", "server", "all"],
)
def test_in_an_interpreter_of_its_own(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_a_package_that_is_missing():
    with pytest.raises(ModuleNotFoundError, match="No module named 'tensorfolw'"):
        lazy_tensorflow.install("tensorfolw")


@pytest.fixture
def package(tmp_path, monkeypatch) -> str:
    """A package whose `__init__` has a value, and whose submodule has another."""
    folder = tmp_path / "a_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("value = 1")
    (folder / "part.py").write_text("value = 2")
    monkeypatch.syspath_prepend(tmp_path)
    yield "a_package"
    sys.modules.pop("a_package.part", None)
    sys.modules.pop("a_package", None)


def test_asking_for_dunders_loads_nothing(package):
    """Tools look at `__warningregistry__` and the like of every module there is."""
    lazy_tensorflow.install(package)
    import a_package
    import a_package.part

    assert not hasattr(a_package, "__warningregistry__")
    assert "value" not in vars(a_package)
    assert (a_package.part.value, a_package.value) == (2, 1)
    with pytest.raises(AttributeError, match="module 'a_package' has no attribute 'other'"):
        a_package.other  # noqa: B018


def test_what_is_imported_already_stays(package):
    import a_package

    lazy_tensorflow.install(package)

    assert sys.modules[package] is a_package
    assert type(a_package) is type(sys)


def test_asking_for_a_tensor_loads_nothing(package):
    """As matplotlib does of every package called tensorflow, for all that it plots."""
    lazy_tensorflow.install(package)
    assert sys.modules[package].is_tensor(1) is False
    assert not sys.modules[package]._init_started
