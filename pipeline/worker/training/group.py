"""Trainings of one process that go on together, an epoch of each at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.data.fit_data import Data
from pipeline.worker.fused.company import Carrier, Done, Request, to_next_pause
from pipeline.worker.fused.coroutine import Coroutine
from pipeline.worker.session import Job, SearchSpace, Session, Stopped, TrialUpdate
from pipeline.worker.training.trial import Ending, train


@dataclass(frozen=True)
class Reported:
    """What a training told after an epoch, and what saves its state as it then is."""

    update: TrialUpdate
    checkpoint: Callable[[], None]


class Member:
    """One training, in a thread that is advanced in turn; its own `Session` and `Company`."""

    def __init__(self, job: Job, space: SearchSpace, data: Data) -> None:
        self.job = job
        self.thread = Coroutine(
            f"{job.trial}-{job.repeat}", lambda: train(job, space, data, self, company=self)
        )

    def report(self, update: TrialUpdate, checkpoint: Callable[[], None]) -> None:
        """Of `Session`: called in the training's thread."""
        self.thread.pause(Reported(update, checkpoint))

    def carry_out(self, request: Request) -> Done:
        """Of `Company`: called in the training's thread."""
        self.thread.draws = request.draws
        done: Done = self.thread.pause(request)
        return done

    def stop(self) -> None:
        """End the training where it waits."""
        self.thread.end(Stopped())

    def ended(self) -> Ending:
        """How it ended; where a session stopped it, as if it came to its end.

        Raises:
            BaseException: what it raised beside that.
        """
        result = self.thread.result
        if isinstance(result, BaseException) and not isinstance(result, Stopped):
            raise result
        return result if isinstance(result, Ending) else Ending()


def train_group(
    jobs: Sequence[Job],
    space: SearchSpace,
    data: Data,
    sessions: Sequence[Session],
    carrier: Carrier,
) -> list[Ending]:
    """Carry out trainings to their ends, each heard by a session of its own.

    Args:
        jobs: the trainings.
        space: the model family of all.
        data: what they are trained on.
        sessions: are told every epoch, and may end their training there.
        carrier: carries out what they wait for.

    Returns:
        How each ended.
    """
    members = [Member(job, space, data) for job in jobs]
    heard = dict(zip([member.thread for member in members], sessions, strict=True))
    try:
        while going := [thread for thread in heard if not thread.ended]:
            for thread, told in to_next_pause(going, carrier).items():
                if told is not None:
                    _hear(thread, told, heard[thread])
        return [member.ended() for member in members]
    finally:
        for member in members:
            member.stop()


def _hear(thread: Coroutine, told: Any, session: Session) -> None:
    try:
        session.report(told.update, told.checkpoint)
    except Stopped as stopped:
        thread.end(stopped)
