"""The bounds of numbers from outside: far beyond any real value, and far from where arithmetic breaks."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

MAX_EPOCHS: Final = 10_000
MAX_RATES: Final = 20
MAX_COST: Final = 10**15  # parameters, or multiply-accumulates of one image
MAX_MEMORY: Final = 1 << 60  # bytes
MAX_LINE: Final = 4000  # bytes of a line of a history, which has one for each epoch, with up to MAX_MEASURES
MAX_MEASURES: Final = 50  # measures of one epoch
MAX_MEASURE: Final = 1e39  # the size of one
MEASURE_NAME: Final = r"^[a-z][a-z0-9_]{0,39}$"
MAX_DESIGN: Final = 4096  # characters of a design's text; the cnn family's notation has limits of its own
MAX_PICTURES: Final = 20  # pictures beside one result
MAX_PICTURE: Final = 1 << 24  # bytes
MAX_HISTORY: Final = 1 << 24  # bytes, whatever the recipe
MAX_SPREAD: Final = 1e12
MAX_SPEED: Final = 1e9  # images per second

Probability = Annotated[float, Field(ge=0, le=1)]
Reward = Annotated[float, Field(ge=-1e12, le=1e12)]
"""The value of a design in a search: the higher the better."""
Seconds = Annotated[float, Field(ge=0, le=1e8)]
Attempt = Annotated[int, Field(ge=1, le=1_000_000)]
Cost = Annotated[int, Field(ge=0, le=MAX_COST)]
Memory = Annotated[int, Field(ge=0, le=MAX_MEMORY)]
MicroBatch = Annotated[int, Field(ge=1, le=65_536)]
LearningRate = Annotated[float, Field(ge=0, le=10)]
"""Learning rate of one epoch; a decay over many epochs may have brought it to 0."""
Measures = Annotated[
    dict[Annotated[str, Field(pattern=MEASURE_NAME)], Annotated[float, Field(ge=-MAX_MEASURE, le=MAX_MEASURE)]],
    Field(max_length=MAX_MEASURES),
]
"""The measured values, by name."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
