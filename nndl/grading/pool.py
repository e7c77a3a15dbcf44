"""Many hand-ins on this machine: a worker behind walls for each processor."""

import os
import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

from nndl._labs import labs_folder
from nndl.grading.result import Result
from nndl.grading.sandbox import Sandbox, WorkerFailed
from nndl.grading.task import Task

__all__ = ["grade_here", "processors"]


def processors() -> int:
    """Return how many processors this process may use.

    Examples
    --------
    >>> processors() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def grade_here(task: Task, paths: Mapping[str, Path], workers: int) -> Iterator[tuple[str, Result]]:
    """Grade hand-ins in this machine's sandboxes, and yield each as it is done.

    Threads suffice: they wait for the workers, which do what takes time. Closing the iterator stops
    the workers at once.

    Parameters
    ----------
    task
        What is asked of each.
    paths
        The notebooks, by student.
    workers
        How many sandboxes.

    Raises
    ------
    WorkerFailed
        If a worker doesn't start.

    Examples
    --------
    >>> list(grade_here(Task(3, 7, "rlimits"), {}, workers=2))
    []
    """
    workers = max(1, min(workers, len(paths)))
    questions = labs_folder() / f"lab{task.lab}" / "questions.py"
    free: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
    with ExitStack() as stack:
        sandboxes = [stack.enter_context(Sandbox(questions, task.level)) for _ in range(workers)]
        # What the workers import takes seconds. Meanwhile the same is imported here.
        from nndl.checking.check import lab_key
        from nndl.grading.grade import grade_content, no_result

        key = lab_key(task.lab, task.seed)
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        for sandbox in sandboxes:
            stack.callback(sandbox.close)
            free.put(sandbox)

        def grade_one(path: Path) -> Result:
            sandbox = free.get()
            try:
                return grade_content(task, path.read_bytes(), key, sandbox)
            finally:
                free.put(sandbox)

        futures = {pool.submit(grade_one, path): name for name, path in paths.items()}
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for future in as_completed(futures):
            error = future.exception()
            if isinstance(error, WorkerFailed):
                raise error
            # Any other error is ours. It must not cost the other students their marks.
            result = no_result(task, key.lab, "grader") if error else future.result()
            yield futures[future], result
