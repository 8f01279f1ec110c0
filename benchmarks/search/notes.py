"""What the pages say beside their numbers: what was tuned on what, and what a table favours."""

from __future__ import annotations

from typing import Final

_HELD_OUT: Final = (
    "`guided`'s options (`random_first`, and the forest's) were tuned on NAS-Bench-Graph's table arxiv alone; nothing "
    "was tuned here. Evolution's populations and tournaments are the usual ones and one smaller. TPE is Optuna's, with "
    "its defaults."
)
NOTES: Final[dict[str, str]] = {
    "nas-bench-201": f"{_HELD_OUT}\n\n"
    "The table holds two or three trainings of a net. Those that confirm see the second and the third one, where there "
    "is one, else the first again. The true value is the mean of the same trainings, so a confirmed net is almost "
    "known exactly, which favours confirmation.\n",
    "nas-bench-graph": "`guided`'s options (`random_first`, and the forest's) were tuned on the table arxiv; the other "
    "tables were not looked at for it. Rewards have no noise here, so confirmation can only cost: its trainings find "
    "nothing new.\n",
    "svhn": f"{_HELD_OUT}\n\n"
    "Both surrogates are fitted to 300 nets of the authors' record of their run on SVHN. `neighbours` is the estimator "
    "of the table launcher. `guided` learns from much the same features, which favours it; `kernel` shares none of "
    "them.\n",
}
