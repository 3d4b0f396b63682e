"""The Python interface: its names, the time to import it, and the results and errors of its functions."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rankline
from rankline import RanklineError

FOLDER = Path(rankline.__file__).parent

FEATURES = """
name: shop
label: {column: bought}
ranking: {group: reader, item: book}
features:
  reader:
  book:
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "features.yaml").write_text(FEATURES)
    (folder / "unranked.yaml").write_text(FEATURES.replace("ranking:", "# ranking:"))
    lines = [f"r{number % 7},b{number % 11},{int(number % 11 > number % 3 + 4)}" for number in range(600)]
    (folder / "rows.csv").write_text("\n".join(["reader,book,bought", *lines, ""]))
    return folder


def test_importing_it_imports_nothing_heavy() -> None:
    program = (
        "import sys, time; start = time.perf_counter(); import rankline; took = time.perf_counter() - start; "
        "print(f'{took:.3f} s', *[name for name in sys.modules if '.' not in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    took, _, *modules = done.stdout.split()
    sys.stdout.write(f"import rankline: {took} s\n")
    assert "rankline" in modules
    assert {"tensorflow", "tfx", "pandas", "numpy", "pyarrow", "pydantic", "grpc", "schema"}.isdisjoint(modules)


def test_it_has_what_it_says() -> None:
    assert set(rankline.__all__) <= set(dir(rankline))
    assert rankline.__all__ == sorted(rankline.__all__)
    for name in rankline.__all__:
        assert inspect.getdoc(getattr(rankline, name)), name
    with pytest.raises(AttributeError, match="module 'rankline' has no attribute 'vaildate'"):
        _ = rankline.vaildate  # type: ignore[attr-defined]


def test_type_checkers_see_the_same() -> None:
    """They read the imports that are made for them alone, from the same modules."""
    tree = ast.parse((FOLDER / "__init__.py").read_text())
    (for_them,) = (
        node for node in tree.body if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    )
    imports = [node for node in for_them.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: node.module for node in imports for alias in node.names}
    assert sorted(homes) == rankline.__all__
    assert {name: home for name, home in homes.items() if home != "rankline._jobs"} == rankline._HOMES


@pytest.mark.parametrize("name", [name for name in rankline.__all__ if inspect.isfunction(getattr(rankline, name))])
def test_every_argument_is_explained(name: str) -> None:
    function = getattr(rankline, name)
    for argument in inspect.signature(function).parameters:
        assert f"    {argument}: " in function.__doc__ or f"`{argument}`" in function.__doc__, argument
    assert "Returns:" in function.__doc__ or "Raises:\n        RanklineError: " in function.__doc__


def test_a_dataset_is_taken_by_name_by_path_and_as_it_is(shop: Path) -> None:
    found = rankline.load_dataset(shop)
    assert isinstance(found, rankline.Dataset)
    described = [rankline.validate(each) for each in (found, shop, str(shop), shop / "features.yaml")]
    assert described == [described[0]] * 4
    assert sum(size.rows for size in described[0].splits.values()) == 600
    assert {split: len(rows) for split, rows in rankline.load_rows(shop).items()} == {
        split: size.rows for split, size in described[0].splits.items()
    }
    assert rankline.load_catalogue(found).items["book"].to_pylist() == [f"b{number}" for number in range(11)]


def test_a_configuration_is_taken_as_a_file_as_keys_and_as_it_is(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    content = {"dataset": str(shop), "root": str(tmp_path / "runs"), "train": {"epochs": 3}}
    file.write_text(json.dumps(content))
    loaded = [rankline.load_config(each, model="deep") for each in (file, str(file), content)]
    loaded.append(rankline.load_config(rankline.load_config(content), model="deep"))
    loaded.append(rankline.load_config(loaded[0]))
    assert [(each.dataset, each.root, each.train.epochs, each.train.model) for each in loaded] == [
        (str(shop), tmp_path / "runs", 3, "deep")
    ] * 5
    other = tmp_path / "other.yaml"
    other.write_text(FEATURES)
    (tmp_path / "rows.csv").write_text((shop / "rows.csv").read_text())
    assert rankline.load_config(content, dataset=rankline.load_dataset(other)).dataset == str(other)


NO_REPORT = "^report: expected a run that came to its end, found none; "
NO_MODEL = "^shop: expected a run whose model was blessed, found none; "


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda shop: rankline.validate("movielns"), r"received 'movielns'; did you mean 'movielens'\?$"),
        (lambda shop: rankline.validate(3), "^dataset: expected one of .*received '3'"),  # type: ignore[arg-type]
        (lambda shop: rankline.run(shop / "none"), "^dataset: expected one of "),
        (lambda shop: rankline.run(shop, model="depe"), r"received 'depe'; did you mean 'deep'\?$"),
        (lambda shop: rankline.run(shop, config={"trian": {}}), r"^configuration: .*; did you mean 'train'\?$"),
        (lambda shop: rankline.run(shop, config="none.yaml"), r"^none\.yaml: expected a file, found none$"),
        (lambda shop: rankline.run(shop, config=3), "^config: expected a file, .*received 3$"),  # type: ignore[arg-type]
        (lambda shop: rankline.run(shop, root="/proc/none"), "^/proc/none"),
        (lambda shop: rankline.compare("wide", shop), r"^models: expected a list of names .*received 'wide'$"),
        (lambda shop: rankline.compare([], shop), r"^models: expected a list of names .*, received \[\]$"),
        (lambda shop: rankline.compare(["wide"], shop, seeds=0), "^seeds: expected .* at least 1, received 0$"),
        (lambda shop: rankline.load_report(shop, root="none"), NO_REPORT),
        (lambda shop: rankline.explain(shop, "r1", root="none"), NO_MODEL),
        (lambda shop: rankline.explain(shop, "nobody", features=True, root="none"), NO_MODEL),
        (lambda shop: rankline.load_catalogue(shop / "unranked.yaml"), "ranking: expected .*, received none"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(shop: Path, tmp_path: Path, monkeypatch, call, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RanklineError, match=message):
        call(shop)


def test_errors_of_the_client_are_of_the_same_kind() -> None:
    with rankline.Client("127.0.0.1:1", "shop", timeout_s=0.2) as client, pytest.raises(RanklineError):
        client.status()


@pytest.mark.long
def test_a_run_and_what_can_be_asked_of_it(shop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = {"train": {"epochs": 2, "batch_size": 64}, "thresholds": None, "infra_check_rows": 10}
    result = rankline.run(shop, config=config, root=tmp_path)
    assert (capfd.readouterr(), result.refusals) == (("", ""), [])
    assert result.version is not None
    assert result.metrics["auc"] > 0.5

    report = rankline.load_report(shop, root=tmp_path)
    assert (report.run_id, report.dataset) == (result.run_id, "shop")
    assert rankline.load_report(shop, root=tmp_path, run_id=result.run_id) == report
    judged = rankline.load_judged(report)
    assert len(judged) == result.rows["test"]
    assert {"reader", "book", "label", "answer", "logit of wide", "logit of deep"} <= set(judged)

    explained = rankline.explain(shop, "r1", items=["b2"], root=tmp_path)
    assert [item.item for item in explained.explanation.items] == ["b2"]

    with (
        rankline.serve(shop, root=tmp_path) as target,
        rankline.Client(target, "shop") as client,
    ):
        assert client.wait_until_available(120) == result.version
        assert len(client.rank({"reader": "r1"}, {"book": ["b1", "b2", "b3"]}, k=2)) == 2

    comparison = rankline.compare(["wide", "deep"], shop, seeds=1, config=config, root=tmp_path)
    assert {name: len(trainings) for name, trainings in comparison.models.items()} == {"wide": 1, "deep": 1}
    assert capfd.readouterr() == ("", "")


def test_what_the_page_shows_is_there() -> None:
    shown = set(re.findall(r"\brankline\.(\w+)", (FOLDER.parent / "docs" / "reference" / "python.md").read_text()))
    assert {"run", "validate", "serve"} <= shown <= set(rankline.__all__)
