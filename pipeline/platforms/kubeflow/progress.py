"""Shows the progress of a run on a cluster, as `rankline run` shows that of a run on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console

from pipeline.terminal.console import counted
from schema.errors import RanklineError

if TYPE_CHECKING:
    from pipeline.platforms.kubeflow.server import Progress


def show(run: Iterable[Progress], total: int, console: Console) -> None:
    """Shows each task once it has ended, and the tasks that are running meanwhile.

    Args:
        run: the progress of the run, again and again, until it has ended.
        total: the number of its tasks.
        console: the console for the lines.

    Raises:
        RanklineError: the run did not succeed.
    """
    shown: dict[str, bool] = {}
    with counted(console) as bar:
        line = bar.add_task("", total=total)
        for progress in run:
            for task in progress.tasks:
                if task.ended and task.name not in shown:
                    shown[task.name] = task.succeeded
                    mark = "[green]✓[/]" if shown[task.name] else "[red]✗[/]"
                    console.print(f"  {mark} {task.name:<20} {task.seconds:>8,.0f} s")
            at = ", ".join(task.name for task in progress.tasks if not task.ended)
            bar.update(line, completed=len(shown), description=at or progress.state.lower())
    if not progress.succeeded:
        failed = ", ".join(name for name, succeeded in shown.items() if not succeeded)
        raise RanklineError(
            f"the run {'has failed' if progress.state == 'FAILED' else 'is ' + progress.state.lower()}"
            f"{' at ' + failed if failed else ''}; the task's log says why, and `rankline runs` whether the model was "
            "refused"
        )
