"""The formats: each writes a network to a file, and runs a file that it wrote with the format's own runtime."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from sys import stderr
from typing import Any, Final, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from metaqnn_trainer.errors import RequestError
from metaqnn_trainer.export.network import Network
from metaqnn_trainer.export.standalone import module_name, source
from metaqnn_trainer.extras import lack, remedy

Run = Callable[[Tensor], Tensor]  # from images (uint8) to logits, in batches


class FileFormat(NamedTuple):
    """How to write a network with facts about it as texts, and how to run the written file."""

    suffix: str
    write: Callable[[Network, Path, Mapping[str, str]], list[Path]]
    """Called with the network, the file to write and the facts; returns every file that was written."""
    open: Callable[[Path], Run]
    beside: Callable[[str], list[str]] = lambda stem: []
    """The names of the files that are written beside the file, whose name without its ending is given."""


def _write_onnx(network: Network, to: Path, facts: Mapping[str, str]) -> list[Path]:
    _require("export")
    with redirect_stdout(stderr):
        program = torch.onnx.export(
            network.by_matrices(),
            (network.example(),),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=_free(network),
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(facts)
    program.save(to, external_data=False)
    return [to]


def _free(network: Network) -> dict[str, Any]:
    return {"images": {place: torch.export.Dim(name) for place, name in network.free.items()}}


def _open_onnx(file: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def _write_programme(network: Network, to: Path, facts: Mapping[str, str]) -> list[Path]:
    programme = torch.export.export(network, (network.example(),), dynamic_shapes=_free(network), strict=False)
    torch.export.save(programme, to, extra_files={"metaqnn.json": json.dumps(facts)})
    return [to]


def _open_programme(file: Path) -> Run:
    run: Run = torch.export.load(file).module()
    return run


def _write_weights(network: Network, to: Path, facts: Mapping[str, str]) -> list[Path]:
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    # Exactly one entry of metadata, because safetensors writes several in no fixed order.
    to.write_bytes(safetensors.torch.save(tensors, metadata={"metaqnn": json.dumps(facts)}))
    module = to.with_name(module_name(to.stem) + ".py")
    module.write_text(source(network, to.name, facts), encoding="utf-8")
    return [to, module]


def _open_weights(file: Path) -> Run:
    path = file.with_name(module_name(file.stem) + ".py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run: Run = module.load(file)
    return run


FORMATS: Final = {
    "onnx": FileFormat(".onnx", _write_onnx, _open_onnx),
    "torch": FileFormat(".pt2", _write_programme, _open_programme),
    "safetensors": FileFormat(".safetensors", _write_weights, _open_weights, lambda stem: [f"{module_name(stem)}.py"]),
}


def _require(extra: str) -> None:
    if missing := lack(extra):
        raise RequestError(f"this format needs {missing}: {remedy(extra)}")
