"""Several recordings at once: in this process, in several, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
import contextlib
from dataclasses import replace
from functools import partial
import logging
import multiprocessing
import os
import queue
import socket
import time
from typing import Any

from v2v_pose_ros.recordings import RecordingError
from v2v_pose_ros.recordings.jobs import Job, Outcome, Progress
from v2v_pose_ros.recordings.processing import process

Report = Callable[[int, Progress], None]
"""Told the number of a job and how far it is."""

Note = tuple[int, Progress]

_LOGGER = logging.getLogger(__name__)

_REACH = 5.0  # seconds to wait for a cluster to answer
_POLL = 0.2  # seconds between looks at what the workers say
_TELL = 0.25  # seconds between two notes of a worker


def run_here(jobs: Sequence[Job], report: Report) -> list[Outcome]:
    """Do one job after the other."""
    return [_outcome(job, partial(report, number)) for number, job in enumerate(jobs)]


def run_processes(jobs: Sequence[Job], workers: int, report: Report) -> list[Outcome]:
    """Do jobs in several processes, each with its share of the processor cores and a GPU.

    A worker that dies, for want of memory as a rule, fails the jobs that had not ended.
    """
    context = multiprocessing.get_context('spawn')  # PyTorch and CUDA do not survive a fork
    notes: Any = context.Queue()
    numbers: Any = context.Value('i', 0)
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(notes, numbers, threads)
    ) as pool:
        futures = [pool.submit(_work, number, job) for number, job in enumerate(jobs)]
        try:
            pending = set(futures)
            while pending:
                pending = wait(pending, timeout=_POLL).not_done
                for number, progress in _drain(notes):
                    report(number, progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [_result(job, future) for job, future in zip(jobs, futures, strict=True)]


def run_ray(jobs: Sequence[Job], address: str, report: Report) -> list[Outcome]:
    """Do jobs on a Ray cluster, whose machines all see the recordings under the same paths.

    Args:
        jobs: what to do.
        address: of the cluster; 'auto' for the one this machine belongs to, 'local' for a
            cluster of this machine alone.
        report: told about the progress.

    Raises:
        RecordingError: Ray is not installed or the cluster cannot be reached.
    """
    _check_reachable(address)
    try:
        import ray
        from ray.util.queue import Queue
    except ImportError as error:
        raise RecordingError(
            f"--ray needs Ray, which cannot be imported ({error}): pip install 'v2v_pose_ros[ray]'"
        ) from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level='error')
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RecordingError(f'the Ray cluster {address} cannot be used: {error}') from error
    try:
        notes: Any = Queue()
        gpus = 1 if ray.cluster_resources().get('GPU') else 0
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=1)(_work_remotely)
        tasks = [remote.remote(number, job, notes) for number, job in enumerate(jobs)]
        pending = list(tasks)
        while pending:
            _, pending = ray.wait(pending, num_returns=len(pending), timeout=_POLL)
            for number, progress in notes.get_nowait_batch(notes.qsize()):
                report(number, progress)
        return [_ray_result(ray, job, task) for job, task in zip(jobs, tasks, strict=True)]
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise RecordingError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix('ray://').rpartition(':')
    if not (host and port.isdigit()):
        return  # auto, local, or what Ray knows better
    try:
        socket.create_connection((host, int(port)), timeout=_REACH).close()
    except OSError as error:
        raise RecordingError(
            f'the Ray cluster {address} cannot be reached ({error}): give the address of its head '
            'node, as "ray start" prints it, or auto'
        ) from error


def _outcome(job: Job, tell: Callable[[Progress], None]) -> Outcome:
    """Do a job; whatever goes wrong with it, the others are done and their outcomes told."""
    try:
        return Outcome(job, process(job, tell))
    except (ValueError, OSError) as error:
        return Outcome(job, None, str(error))
    except Exception as error:
        _LOGGER.exception('%s failed unexpectedly', job.source)
        return Outcome(job, None, f'{job.source} failed: {type(error).__name__}: {error}')


# --- Worker processes; what they share is set once, when they begin. ---

_notes: Any = None
_device = ''


def _begin(notes: Any, numbers: Any, threads: int) -> None:
    """Take a share of the machine."""
    global _notes, _device
    import torch

    _notes = notes
    with numbers.get_lock():
        number, numbers.value = numbers.value, numbers.value + 1
    if torch.cuda.is_available():
        _device = f'cuda:{number % torch.cuda.device_count()}'
    torch.set_num_threads(threads)
    cores = sorted(os.sched_getaffinity(0))
    first = number * threads % len(cores)
    # OpenVINO takes as many threads as it may use cores.
    os.sched_setaffinity(0, (cores + cores)[first : first + threads])


def _work(number: int, job: Job) -> Outcome:
    if _device and job.options.estimator.device in ('auto', 'cuda'):
        estimator = job.options.estimator.on(_device)
        job = replace(job, options=replace(job.options, estimator=estimator))
    return _outcome(job, _Teller(number, _notes.put))


def _work_remotely(number: int, job: Job, notes: Any) -> Outcome:
    return _outcome(job, _Teller(number, notes.put))


class _Teller:
    """Passes progress on, now and then, and the last of each stage always."""

    def __init__(self, number: int, put: Callable[[Note], object]) -> None:
        self._number, self._put = number, put
        self._due = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now >= self._due or progress.done in (0, progress.total):
            self._due = now + _TELL
            self._put((self._number, progress))


def _drain(notes: Any) -> Iterator[Note]:
    with contextlib.suppress(queue.Empty):
        while True:
            yield notes.get_nowait()


def _result(job: Job, future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(
            job,
            None,
            'a worker process died, perhaps for want of memory: take fewer --workers; what was '
            'estimated so far is kept',
        )


def _ray_result(ray: Any, job: Job, task: Any) -> Outcome:
    try:
        outcome: Outcome = ray.get(task)
        return outcome
    except ray.exceptions.RayError as error:
        # A traceback of the other machine: what was raised is its last line.
        last = [type(error).__name__, *str(error).split('\n\n')[0].splitlines()][-1]
        return Outcome(job, None, f'the task failed on the cluster: {last.strip()}')
