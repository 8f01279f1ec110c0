"""Random nets that the notation can write, whether or not any space holds them."""

from __future__ import annotations

from hypothesis import strategies as st

from metaqnn_trainer.spaces.cnn.layer import Net
from metaqnn_trainer.spaces.cnn.layers.conv import Conv
from metaqnn_trainer.spaces.cnn.layers.fully_connected import FC
from metaqnn_trainer.spaces.cnn.layers.gap import GAP
from metaqnn_trainer.spaces.cnn.layers.max_pool import Pool
from metaqnn_trainer.spaces.cnn.layers.softmax import SM

sizes = st.integers(1, 65_536)
conv_layers = st.builds(Conv, sizes, sizes, sizes)
pool_layers = st.builds(Pool, sizes, sizes)
fc_layers = st.builds(FC, sizes)


@st.composite
def nets(draw: st.DrawFn) -> Net:
    body = draw(st.lists(conv_layers | pool_layers, max_size=20))
    dense = draw(st.lists(fc_layers, max_size=3))
    classes = draw(sizes)
    average = [GAP(classes)] if draw(st.booleans()) else []
    return (*body, *dense, *average, SM(classes))
