"""The life of versions, with servables that only have an id."""

import threading

import pytest
from grpc import StatusCode
from tensorflow_serving.apis import model_pb2

from serving.server.manager import LoadError, Manager, NotAvailableError, State
from serving.server.status import StatusError


class Loader:
    """Loads what it is not told to fail at, and remembers the order of things."""

    def __init__(self):
        self.events = []
        self.failures = {}

    def __call__(self, servable_id, path):
        self.events.append(f"load {servable_id.version}")
        if error := self.failures.get(servable_id.version):
            raise error
        return Servable(servable_id, self)


class Servable:
    def __init__(self, servable_id, loader):
        self.id = servable_id
        self.loader = loader

    def close(self):
        self.loader.events.append(f"close {self.id.version}")


@pytest.fixture
def loader():
    return Loader()


@pytest.fixture
def manager(loader):
    return Manager(loader, max_num_load_retries=0, load_retry_interval_s=0)


def spec(version=None, name="m"):
    result = model_pb2.ModelSpec(name=name)
    if version is not None:
        result.version.value = version
    return result


def aspire(manager, *versions, name="m"):
    manager.aspire(name, {version: f"/{version}" for version in versions})
    return manager.reconcile()


def served(manager, version=None, name="m"):
    with manager.servable(spec(version, name)) as servable:
        return servable.id.version


def states(manager):
    return {status.version: status.state for status in manager.statuses("m")}


def broken(message="no weights"):
    return StatusError(StatusCode.DATA_LOSS, message)


def test_a_new_version_is_loaded_before_the_old_one_is_closed(manager, loader):
    aspire(manager, 1)
    aspire(manager, 2)

    assert loader.events == ["load 1", "load 2", "close 1"]
    assert served(manager) == 2
    assert served(manager, 2) == 2
    assert states(manager) == {2: State.AVAILABLE, 1: State.END}
    assert [status.version for status in manager.statuses("m")] == [2, 1]


def test_the_old_version_answers_until_the_new_one_is_ready(manager, loader):
    aspire(manager, 1)

    def load(servable_id, path):
        seen.append((served(manager), states(manager)))
        return Servable(servable_id, loader)

    seen = []
    manager._load_servable = load
    aspire(manager, 2)

    assert seen == [(1, {1: State.AVAILABLE, 2: State.LOADING})]


def test_a_version_is_closed_only_after_its_last_request(manager, loader):
    aspire(manager, 1)
    with manager.servable(spec()) as old:
        manager.aspire("m", {2: "/2"})
        swap = threading.Thread(target=manager.reconcile)
        swap.start()
        while served(manager) != 2:
            assert swap.is_alive()
        assert old.id.version == 1
        assert states(manager) == {2: State.AVAILABLE, 1: State.UNLOADING}
        assert "close 1" not in loader.events
    swap.join()

    assert loader.events[-1] == "close 1"
    assert states(manager)[1] == State.END


def test_a_version_that_fails_leaves_the_old_one_serving(manager, loader):
    loader.failures[2] = broken()
    aspire(manager, 1)
    aspire(manager, 2)

    assert served(manager) == 1
    assert states(manager) == {2: State.END, 1: State.AVAILABLE}
    error = manager.statuses("m")[0].error
    assert (error.code, error.message) == (StatusCode.DATA_LOSS, "no weights")
    aspire(manager, 2)
    assert loader.events == ["load 1", "load 2"], "it is not tried for ever"


def test_a_failed_version_that_is_replaced_is_loaded(manager, loader):
    """Version 2 is taken away (1 is the largest again) and comes back repaired."""
    loader.failures[2] = broken()
    aspire(manager, 1)
    aspire(manager, 2)
    aspire(manager, 1)
    loader.failures.clear()
    aspire(manager, 2)

    assert loader.events == ["load 1", "load 2", "load 2", "close 1"]
    assert served(manager) == 2
    assert manager.statuses("m")[0].error is None


def test_a_removed_version_falls_back(manager, loader):
    aspire(manager, 2)
    aspire(manager, 1)

    assert loader.events == ["load 2", "load 1", "close 2"]
    assert served(manager) == 1
    assert states(manager) == {2: State.END, 1: State.AVAILABLE}


def test_an_empty_base_path_serves_nothing(manager, loader):
    aspire(manager, 1)
    aspire(manager)

    assert loader.events == ["load 1", "close 1"]
    with pytest.raises(StatusError, match=r"^Servable not found for request: Latest\(m\)$"):
        served(manager)


def test_unforeseen_errors_are_errors_of_the_version(manager, loader):
    loader.failures[1] = ZeroDivisionError("division by zero")
    aspire(manager, 1)

    error = manager.statuses("m")[0].error
    assert (error.code, error.message) == (StatusCode.INTERNAL, "ZeroDivisionError: division by zero")


def test_failures_are_retried_after_a_while(loader):
    manager = Manager(loader, max_num_load_retries=2, load_retry_interval_s=1000)
    loader.failures[1] = broken()

    assert 999 < aspire(manager, 1) <= 1000
    status = manager.statuses("m")[0]
    assert (status.state, status.error.message) == (State.LOADING, "no weights")
    assert 999 < manager.reconcile() <= 1000
    assert loader.events == ["load 1"], "not before the time has come"


def test_retries_end(loader):
    manager = Manager(loader, max_num_load_retries=2, load_retry_interval_s=0)
    loader.failures[1] = broken()

    assert aspire(manager, 1) is None
    assert loader.events == ["load 1"] * 3
    assert states(manager) == {1: State.END}


def test_a_newer_version_does_not_wait_for_retries(loader):
    manager = Manager(loader, max_num_load_retries=5, load_retry_interval_s=1000)
    loader.failures[1] = broken()
    aspire(manager, 1)
    assert aspire(manager, 2) is None

    assert served(manager) == 2
    assert states(manager) == {2: State.AVAILABLE, 1: State.END}


def test_models_do_not_mix(manager, loader):
    aspire(manager, 1, name="a")
    aspire(manager, 2, name="b")

    assert (served(manager, name="a"), served(manager, name="b")) == (1, 2)
    aspire(manager, name="a")
    assert served(manager, name="b") == 2


@pytest.mark.parametrize(
    ("request_spec", "code", "message"),
    [
        (model_pb2.ModelSpec(), StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (spec(name="x"), StatusCode.NOT_FOUND, "Servable not found for request: Latest(x)"),
        (spec(9), StatusCode.NOT_FOUND, "Servable not found for request: Specific(m, 9)"),
        (
            model_pb2.ModelSpec(name="m", version_label="stable"),
            StatusCode.INVALID_ARGUMENT,
            "Unrecognized servable version label: stable",
        ),
    ],
)
def test_requests_for_what_is_not_there(manager, request_spec, code, message):
    aspire(manager, 1)

    with pytest.raises(StatusError) as error, manager.servable(request_spec):
        pass

    assert (error.value.code, error.value.message) == (code, message)


def test_waiting_ends_when_a_version_is_available(manager):
    waiting = threading.Thread(target=aspire, args=(manager, 3))
    waiting.start()

    assert manager.wait_until_available("m", 60) == 3
    waiting.join()


def test_waiting_ends_when_the_version_cannot_be_loaded(manager, loader):
    loader.failures[1] = broken()
    aspire(manager, 1)

    with pytest.raises(LoadError, match=r"^model m cannot be loaded, version 1: no weights$"):
        manager.wait_until_available("m", 60)


def test_waiting_ends_in_time(loader):
    manager = Manager(loader, max_num_load_retries=1, load_retry_interval_s=1000)
    with pytest.raises(NotAvailableError, match=r"^model m was not available after 0\.01 s$"):
        manager.wait_until_available("m", 0.01)

    loader.failures[1] = broken()
    aspire(manager, 1)
    with pytest.raises(NotAvailableError, match=r"^model m was not available after 0\.01 s, version 1: no weights$"):
        manager.wait_until_available("m", 0.01)


def test_closing_closes_everything(manager, loader):
    aspire(manager, 1, name="a")
    aspire(manager, 2, name="b")
    manager.close()

    assert loader.events[-2:] == ["close 1", "close 2"]
