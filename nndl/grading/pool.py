"""Many hand-ins on this machine: a worker behind walls for each processor."""

import os
import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack

from nndl.checking.check import lab_key
from nndl.checking.source import labs_folder
from nndl.grading.grade import Task, grade_content, no_result
from nndl.grading.result import Result
from nndl.grading.sandbox import Sandbox, WorkerFailed

__all__ = ["grade_here", "processors"]


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def grade_here(
    task: Task, contents: Mapping[str, bytes], workers: int
) -> Iterator[tuple[str, Result]]:
    """Grade hand-ins in this machine's sandboxes, and yield each as it is done.

    Threads suffice: they wait for the workers, which do what takes time. Closing the iterator stops
    the workers at once.

    Parameters
    ----------
    task
        What is asked of each.
    contents
        What was handed in, by student.
    workers
        How many sandboxes.

    Raises
    ------
    WorkerFailed
        If a worker doesn't start.
    """
    workers = max(1, min(workers, len(contents)))
    questions = labs_folder() / f"lab{task.lab}" / "questions.py"
    free: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
    with ExitStack() as stack:
        sandboxes = [stack.enter_context(Sandbox(questions, task.level)) for _ in range(workers)]
        # What the workers import takes seconds; meanwhile the key is prepared here.
        key = lab_key(task.lab, task.seed)
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        for sandbox in sandboxes:
            stack.callback(sandbox.close)
            free.put(sandbox)

        def grade_one(content: bytes) -> Result:
            sandbox = free.get()
            try:
                return grade_content(task, content, key, sandbox)
            finally:
                free.put(sandbox)

        futures = {pool.submit(grade_one, content): name for name, content in contents.items()}
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        for future in as_completed(futures):
            error = future.exception()
            if isinstance(error, WorkerFailed):
                raise error
            # Any other error is ours. It must not cost the other students their marks.
            result = no_result(task, key, "grader") if error else future.result()
            yield futures[future], result
