"""Compares a canary with the stable version: both answer the same requests, by turns."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.table import Table

from pipeline.live.ranking import candidates
from pipeline.terminal.tables import add_row, new_table
from schema.catalogue import catalogue
from schema.dataset import Dataset
from serving.client import CallError, Client, FeatureError, Tls
from serving.features import Value
from serving.rollout import CANARY, STABLE

_TOP = 10
_USERS = 200


@dataclass
class Answers:
    """The answers of one label's version.

    Attributes:
        milliseconds: the latency of each answered request.
        errors: the number of failed requests, by the server's message.
        best: the best items, by user.
    """

    milliseconds: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    best: dict[str, frozenset[int | str]] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """The number of all requests."""
        return len(self.milliseconds) + sum(self.errors.values())

    @property
    def error_rate(self) -> float:
        """The share of the requests that failed."""
        return sum(self.errors.values()) / self.requests

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies in milliseconds; NaN without an answer."""
        return float(np.percentile(self.milliseconds, percent)) if self.milliseconds else float("nan")


@dataclass(frozen=True)
class CanaryLimits:
    """How much worse than the stable version a canary may be.

    Attributes:
        errors: the largest error rate beyond that of the stable version.
        slower: the largest 99th percentile of the latency, as a multiple of the stable version's.
    """

    errors: float
    slower: float


@dataclass(frozen=True)
class Trial:
    """The result of a trial."""

    answers: dict[str, Answers]
    """The answers, by label."""
    problems: tuple[str, ...]
    """The limits that the canary exceeds, a line each; empty if there are none."""

    @property
    def overlap(self) -> float:
        """The share of the stable version's ten best items that are also among the canary's, as a mean over users."""
        stable, canary = self.answers[STABLE].best, self.answers[CANARY].best
        shared = [len(stable[user] & canary[user]) / len(stable[user]) for user in stable.keys() & canary.keys()]
        return float(np.mean(shared)) if shared else float("nan")


def try_canary(dataset: Dataset, target: str, seconds: float, limits: CanaryLimits, tls: Tls | None = None) -> Trial:
    """Sends rankings for the users that were seen last to both labels, by turns.

    Args:
        dataset: a dataset with a ranking group and item.
        target: the server's gRPC address.
        seconds: the length of the trial.
        limits: the limits that the canary must keep.
        tls: the certificates for TLS; None is no TLS.

    Returns:
        Both labels' answers and the verdict.
    """
    items = catalogue(dataset)
    users = items.latest_groups(_USERS)
    everything = candidates(items.items, dataset.spec)
    contexts = {user: items.context(user) for user in users}
    answers = {STABLE: Answers(), CANARY: Answers()}
    clients = {label: Client(target, dataset.name, label=label, tls=tls) for label in answers}
    try:
        asked = None if all(map(_recommends, clients.values())) else everything
        for client in clients.values():
            _ask(client, Answers(), users[0], contexts[users[0]], asked)  # connects, and fetches the signature
        deadline = time.monotonic() + seconds
        for number, user in enumerate(itertools.cycle(users), start=1):
            if time.monotonic() >= deadline:
                break
            # The second request finds warmer caches, so the labels take turns.
            for label in list(answers)[:: 1 if number % 2 else -1]:
                _ask(clients[label], answers[label], user, contexts[user], asked)
    finally:
        for client in clients.values():
            client.close()
    return Trial(answers, tuple(_problems(answers[STABLE], answers[CANARY], limits)))


def _recommends(client: Client) -> bool:
    try:
        return client.recommends()
    except (CallError, FeatureError):  # the trial itself will count them
        return False


def _ask(
    client: Client,
    answers: Answers,
    user: str,
    context: Mapping[str, Value],
    candidates: Mapping[str, Sequence[Value]] | None,
) -> None:
    """Asks for the best of the candidates, or if these are None, of all items that the model knows."""
    start = time.monotonic()
    best: list[int | str]
    try:
        if candidates is None:
            best = [entry.item for entry in client.recommend(context, _TOP)]
        else:
            best = [entry.index for entry in client.rank(context, candidates, _TOP)]
    except (CallError, FeatureError) as error:
        name = error.code.name if isinstance(error, CallError) else type(error).__name__
        answers.errors[name] = answers.errors.get(name, 0) + 1
        return
    answers.milliseconds.append((time.monotonic() - start) * 1000)
    answers.best[user] = frozenset(best)


def _problems(stable: Answers, canary: Answers, limits: CanaryLimits) -> list[str]:
    if not canary.requests:
        return ["no request was sent: the trial was too short"]
    problems = []
    if canary.error_rate > stable.error_rate + limits.errors:
        errors = ", ".join(f"{count} {name}" for name, count in canary.errors.items())
        problems.append(
            f"error rate: expected at most {limits.errors:.2%} beyond the stable version's {stable.error_rate:.2%}, "
            f"received {canary.error_rate:.2%} ({errors})"
        )
    slow, usual = canary.percentile(99), stable.percentile(99)
    if slow > limits.slower * usual:
        problems.append(
            f"99th percentile: expected at most {limits.slower:g} times the stable version's {usual:.1f} ms, "
            f"received {slow:.1f} ms"
        )
    return problems


def trial_table(trial: Trial) -> Table:
    """The answers of both labels."""
    table = new_table("", "label", "requests#", "errors#", "p50 ms#", "p99 ms#")
    for label, answers in trial.answers.items():
        times = [f"{answers.percentile(percent):.1f}" for percent in (50, 99)]
        add_row(table, label, f"{answers.requests:,}", f"{answers.error_rate:.2%}" if answers.requests else "", *times)
    table.caption = f"Of the ten best items of the stable version, the canary also has {trial.overlap:.0%}."
    return table
