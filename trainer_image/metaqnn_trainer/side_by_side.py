"""Nets side by side in one process: whether there is memory for one more, and whose turn it is.

Each net trains in a thread of its own, and the one that holds the baton computes; it is handed on after every step. On
a GPU each thread has a stream of its own, so that steps of small nets overlap there while another's is being asked for.
What that gains on a GPU has not been measured. On a processor, where a step is over when it is handed on, nothing is
gained: four nets side by side take as long as one after the other, or a little longer (docs/benchmarks/trainer.md).

As every step seeds its own randomness, a net comes out as if it had been alone: on a processor, to the last bit.
"""

from __future__ import annotations

import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Condition, Lock
from typing import Final

import torch

from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.course import Training
from metaqnn_trainer.device import release_memory, work_so_far
from metaqnn_trainer.errors import HostMemoryError, Preempted
from metaqnn_trainer.memory import DeviceMemory, bounded_memory, is_out_of_memory

# Times what training takes at least: a recorded step keeps as much again, and libraries and fragments take their part.
_MARGIN: Final = 4
_EVERYTHING: Final = sys.maxsize

Stop = Callable[[], bool]
Work = Callable[[DeviceMemory, Stop], Training]
Waiting = Callable[[], AbstractContextManager[None]]


def fits(need: int, beside: Sequence[int], size: int, free: int) -> bool:
    """Whether a net whose training takes `need` bytes at least may begin beside others that take `beside`, on a device
    that has `size` for all of them and `free` at the moment. Alone it may in any case: it is for train to say more."""
    return not beside or (_MARGIN * (need + sum(beside)) <= size and _MARGIN * need <= free)


class Baton:
    """Held by one thread at a time, which gets it in the order of asking. A lock would go to whoever is quickest, and
    that is the one who has just let it go."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._held = False
        self._waiting: deque[Lock] = deque()

    @property
    def wanted(self) -> bool:
        """Whether another thread waits for it."""
        return bool(self._waiting)

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False

    @contextmanager
    def handed_on(self) -> Iterator[None]:
        """For its holder: the others have their turns meanwhile, one each."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


@dataclass(eq=False, slots=True)
class _Place:
    need: int
    shared: bool = False
    """Whether anybody else has been inside at the same time."""


class _Crowded(Exception):
    """Memory ran out while others had part of it."""


class Room:
    """A device with nets in training. Each waits until there is memory for it beside those that are inside, in the
    order of coming; where memory runs out nevertheless it begins again, alone."""

    def __init__(
        self,
        device: torch.device,
        stop: Stop = lambda: False,
        measure: Callable[[torch.device], DeviceMemory] = DeviceMemory.of,
    ) -> None:
        """`measure` tells of the device's memory while nobody is inside."""
        self._device = device
        self._stop = stop
        self._measure = measure
        self._baton = Baton()
        self._changed = Condition()  # guards everything below
        self._line: deque[_Place] = deque()
        self._inside: list[_Place] = []
        self._memory = measure(device)
        self._bounds = ExitStack()

    def host(self, need: int, work: Work, waiting: Waiting = nullcontext) -> Training:
        """What `work` gives, which is `train`: called when there is room for it, with the memory and the `stop` that it
        has to ask after every step, because others have their turns then. `need` is what it takes of memory at least.
        It waits for room, and for nothing else, inside `waiting`.

        Raises:
            Preempted: asked to stop before there was room.
            Exception: `work`'s.
        """
        try:
            return self._host(need, work, waiting)
        except _Crowded as error:
            print(f"memory ran out beside other nets, one begins again, alone: {error}\n", end="", file=sys.stderr)
        return self._host(_EVERYTHING, work, waiting)

    def _host(self, need: int, work: Work, waiting: Waiting) -> Training:
        with self._place(need, waiting) as place, self._baton:
            try:
                training = work(self._memory._replace(shared=lambda: place.shared), self._in_turns())
            except Exception as error:
                traceback.clear_frames(error.__traceback__)  # which hold the net
                if place.shared and (is_out_of_memory(error) or isinstance(error, HostMemoryError)):
                    raise _Crowded(one_line(str(error))) from error
                raise
            finally:
                release_memory(self._device)
            if place.shared:
                training.peak_memory = None  # that of all of them
            return training

    def _in_turns(self) -> Stop:
        """Whether to stop, said when the others have had their turns. A GPU may be a step behind its thread and no
        more: who waits for it with the baton in hand keeps all of them waiting."""
        last = work_so_far(self._device)

        def stop() -> bool:
            nonlocal last
            if self._baton.wanted:
                one_before, last = last, work_so_far(self._device)
                with self._baton.handed_on():
                    one_before()
            return self._stop()

        return stop

    @contextmanager
    def _place(self, need: int, waiting: Waiting) -> Iterator[_Place]:
        place = _Place(need)
        with self._changed:
            self._line.append(place)
            with waiting():
                self._changed.wait_for(lambda: self._stop() or self._may_enter(place))
            self._line.remove(place)
            if not (stopped := self._stop()):
                self._let_in(place)
            self._changed.notify_all()
        if stopped:
            raise Preempted("stopped before training began")
        try:
            yield place
        finally:
            with self._changed:
                self._inside.remove(place)
                if not self._inside:
                    self._bounds.close()
                self._changed.notify_all()

    def _may_enter(self, place: _Place) -> bool:
        beside = [other.need for other in self._inside]
        return self._line[0] is place and fits(place.need, beside, self._memory.size, self._memory.free())

    def _let_in(self, place: _Place) -> None:
        if not self._inside:
            self._memory = self._measure(self._device)
            self._bounds.enter_context(bounded_memory(self._device, self._memory.size))
        self._inside.append(place)
        for one in self._inside:
            one.shared = one.shared or len(self._inside) > 1
