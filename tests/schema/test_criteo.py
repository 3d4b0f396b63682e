"""Generated rows: their truth and distribution, and that they read like the Criteo files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from schema.criteo.generator import CROSSED, IDS, INTERACTING, LOW_RANK, NUMBERS, Generator, Rows
from schema.feature_spec import load
from schema.inference import inspect

FOLDER = Path(__file__).parents[2] / "schema" / "criteo"
spec = importlib.util.spec_from_file_location("criteo_source", FOLDER / "source.py")
source = importlib.util.module_from_spec(spec)
spec.loader.exec_module(source)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Generator().draw(50_000, seed=7)


def test_the_same_seeds_give_the_same_rows(rows: Rows) -> None:
    again = Generator().draw(50_000, seed=7)
    np.testing.assert_array_equal(again.ids, rows.ids)
    np.testing.assert_array_equal(again.label, rows.label)
    assert (Generator().draw(50_000, seed=8).ids != rows.ids).any()
    assert (Generator(seed=1).draw(50_000, seed=7).probability != rows.probability).any()


def test_the_vocabulary_is_as_large_as_asked() -> None:
    for vocabulary in (10_000, 1_000_000, 10_000_000):
        assert sum(Generator(vocabulary).sizes.values()) == pytest.approx(vocabulary, rel=0.01)
    with pytest.raises(ValueError, match="at least 10,000 ids, received 9,999"):
        Generator(9_999)


def test_pairs_become_more_by_as_much_as_asked() -> None:
    """Nine times as many pairs: three times as many ids in either column of a pair."""
    sizes = Generator(30_000, more_pairs=9).sizes
    assert {name: sizes[name] for name in INTERACTING} == {name: 3 * size for name, size in INTERACTING.items()}
    assert sum(sizes.values()) == pytest.approx(30_000, rel=0.01)
    Generator(30_000, more_pairs=9).draw(1000, seed=1)
    with pytest.raises(ValueError, match="at least 11,360 ids, received 11,000"):  # 3 · 680 + 9,320
        Generator(11_000, more_pairs=9)


def test_ids_are_long_tailed(rows: Rows) -> None:
    """Of Zipf's law with n ids, the first has 1 / log₂(n + 1) of the rows, as many as the next two together."""
    generator = Generator()
    column = IDS.index("C26")
    share = np.bincount(rows.ids[:, column]) / len(rows.ids)
    np.testing.assert_allclose(share[0], 1 / np.log2(generator.sizes["C26"] + 1), rtol=0.05)
    np.testing.assert_allclose(share[1] + share[2], share[0], rtol=0.05)
    # Those of low-rank interactions are not.
    share = np.bincount(rows.ids[:, IDS.index("C5")]) / len(rows.ids)
    np.testing.assert_allclose(share, 1 / INTERACTING["C5"], rtol=0.3)


def test_every_id_is_below_its_columns_size(rows: Rows) -> None:
    assert rows.ids.shape == (50_000, 26)
    assert (rows.ids >= 0).all()
    assert (rows.ids < list(Generator().sizes.values())).all()


def test_numbers_are_whole_or_missing(rows: Rows) -> None:
    assert rows.numbers.shape == (50_000, 13)
    np.testing.assert_allclose(np.isnan(rows.numbers).mean(), 0.2, atol=0.01)
    present = rows.numbers[~np.isnan(rows.numbers)]
    assert (present >= 0).all()
    assert (present == np.floor(present)).all()


def test_labels_follow_their_probabilities(rows: Rows) -> None:
    """In each tenth of the probabilities, to four standard errors."""
    for part in np.array_split(np.argsort(rows.probability), 10):
        p = rows.probability[part]
        error = np.sqrt((p * (1 - p)).sum()) / len(part)
        assert abs(rows.label[part].mean() - p.mean()) < 4 * error


def test_the_best_loss_is_the_entropy(rows: Rows) -> None:
    """-ln p of two clicks with p 0.8 and 0.5 and of no click with p 0.25: (0.223144 + 0.693147 + 0.287682) / 3."""
    by_hand = Rows(rows.numbers, rows.ids, np.array([0.8, 0.5, 0.25]), np.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(by_hand.best_logloss, 0.401324, rtol=1e-5)
    p = rows.probability
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    assert rows.best_logloss == pytest.approx(entropy.mean(), abs=4 * entropy.std() / np.sqrt(len(p)) + 0.005)


def effects(truth: dict[str, float], columns: tuple[str, str]) -> np.ndarray:
    """The mean logit of each pair of ids of two columns, less those of its ids."""
    generator = Generator(10_000, **truth)
    drawn = generator.draw(400_000, seed=1)
    logit = np.log(drawn.probability / (1 - drawn.probability))
    sizes = [INTERACTING[name] for name in columns]
    one, other = (drawn.ids[:, IDS.index(name)] for name in columns)
    counts, sums = np.zeros(sizes), np.zeros(sizes)
    np.add.at(counts, (one, other), 1)
    np.add.at(sums, (one, other), logit)
    mean = sums / np.maximum(counts, 1)
    return mean - mean.mean(axis=0) - mean.mean(axis=1, keepdims=True) + mean.mean()


def energy_of_two(matrix: np.ndarray) -> float:
    """The share of a matrix's squares in its first two singular values."""
    squares = np.linalg.svd(matrix, compute_uv=False) ** 2
    return float(squares[:2].sum() / squares.sum())


def test_crosses_are_of_high_rank_and_interactions_of_rank_two() -> None:
    assert energy_of_two(effects({"crosses": 3.0, "low_rank": 0.0}, CROSSED[0])) < 0.3
    assert energy_of_two(effects({"crosses": 0.0, "low_rank": 3.0}, LOW_RANK[0])) > 0.7


def test_files_read_as_criteos(tmp_path: Path, rows: Rows) -> None:
    few = Rows(rows.numbers[:200], rows.ids[:200], rows.probability[:200], rows.label[:200])
    source.write(few, tmp_path / "train.tsv")
    lines = (tmp_path / "train.tsv").read_text().splitlines()
    fields = [line.split("\t") for line in lines]
    assert {len(line) for line in fields} == {1 + 13 + 26}
    assert [line[0] for line in fields] == [str(int(label)) for label in few.label]
    assert {value == "" for line in fields for value in line[1:14]} == {True, False}
    assert all(len(value) == 8 and int(value, 16) >= 0 for line in fields for value in line[14:])
    # The same id has the same text in a column, and another one another.
    texts = {(line[14], number) for line, number in zip(fields, few.ids[:, 0], strict=True)}
    assert len(texts) == len({text for text, _ in texts}) == len({number for _, number in texts})

    types = inspect([tmp_path / "train.tsv"], load(FOLDER / "features.yaml")).columns
    assert set(types) == {"label", *NUMBERS, *IDS}
    assert {types[name] for name in ("label", *NUMBERS)} == {"integer"}


def test_every_column_of_ids_is_text() -> None:
    described = load(FOLDER / "features.yaml")
    assert {name for name, kind in described.columns.items() if kind == "string"} == set(IDS)
    assert list(described.source.column_names) == ["label", *NUMBERS, *IDS]
    assert {cross.columns for cross in described.crosses} == {*CROSSED, *LOW_RANK}
