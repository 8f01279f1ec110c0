"""What the pages say beside their numbers: what was tuned on what, and what a table favours."""

from __future__ import annotations

from typing import Final

_RIVALS: Final = (
    "Evolution's populations and tournaments are the usual ones and one smaller. TPE is Optuna's, with its defaults."
)
NOTES: Final[dict[str, str]] = {
    "nas-bench-201": "`guided`'s options were tuned on NAS-Bench-Graph's table arxiv and on SVHN's `kernel`; nothing "
    f"was tuned here. {_RIVALS}\n\n"
    "The table holds two or three trainings of a net. Those that confirm see the second and the third one, where there "
    "is one, else the first again. The true value is the mean of the same trainings, so a confirmed net is almost "
    "known exactly, which favours confirmation.\n",
    "nas-bench-graph": "`guided`'s options were tuned on the table arxiv and on SVHN's `kernel`; the other tables were "
    f"not looked at for it. {_RIVALS} Rewards have no noise here, so confirmation can only cost: its trainings find "
    "nothing new.\n",
    "svhn": "`random_first` and `exploration` of `guided` were chosen when first results on these two surrogates were "
    "known: on seeds 0 to 4 and 20 to 31 of `kernel`, and of a kernel that is fitted to made accuracies, and on "
    "NAS-Bench-Graph's table arxiv. `neighbours` was not looked at again, but it is fitted to the same nets. "
    f"{_RIVALS}\n\n"
    "Both surrogates are fitted to 300 nets of the authors' record of their run on SVHN. `neighbours` is the estimator "
    "of the table launcher. `guided` learns from much the same features, which favours it; `kernel` shares none of "
    "them.\n",
}
