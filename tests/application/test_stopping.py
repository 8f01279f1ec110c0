from __future__ import annotations

import os
import signal

import pytest

from metaqnn_orch.application.listener import Tone
from metaqnn_orch.application.stopping import Signals
from metaqnn_orch.control.surroundings import Stop
from metaqnn_trainer.signals import STOPS


class Heard:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str, tone: Tone = Tone.PLAIN) -> None:
        self.lines.append(line)


@pytest.mark.parametrize(
    ("sent", "wanted", "said"),
    [
        ([], Stop.NO, []),
        (["INT"], Stop.DRAIN, ["stopping: waiting for the trials in training; Ctrl-C again leaves at once"]),
        (["INT", "INT"], Stop.NOW, ["stopping at once"]),
        (["TERM"], Stop.NOW, ["stopping at once"]),
        (["INT", "TERM"], Stop.NOW, ["stopping at once"]),
        (["HUP"], Stop.NOW, ["stopping at once: the terminal was closed"]),
        (["INT", "HUP"], Stop.NOW, ["stopping at once: the terminal was closed"]),
    ],
)
def test_what_signals_ask_for(sent: list[str], wanted: Stop, said: list[str]) -> None:
    heard = Heard()
    before = [signal.getsignal(number) for number in STOPS]
    with Signals(heard.say) as signals:
        for name in sent:
            os.kill(os.getpid(), signal.Signals[f"SIG{name}"])
        assert signals.stop() is wanted
        assert signals.stop() is wanted
        assert heard.lines == said, "it is said once"
        assert signals.first == (signal.Signals[f"SIG{sent[0]}"] if sent else 0)
        signals.sleep(0.0)
    assert [signal.getsignal(number) for number in STOPS] == before


def test_nobody_waits_for_trials_that_outlive_us() -> None:
    heard = Heard()
    with Signals(heard.say, trials_outlive_us=True) as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.stop() is Stop.NOW
    assert heard.lines == ["leaving: the trials in training go on, and the same command finds their results"]
