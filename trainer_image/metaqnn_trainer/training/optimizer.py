"""The optimisers: torch's own fused kernels, called without torch.optim.

Before its first step torch.optim imports a compiler: 3.6 s of a processor and 150 MiB, in each trainer. A net of two
convolutions, on batches of 32 images of 8×8, takes 1280 steps in a second of a processor with Adam here, and 1010 with
torch.optim.Adam(fused=True); with SGD 1330 and 1240 (torch 2.15, one thread, medians of 7).

The kernels are private. Therefore torch has a ceiling: the newest release for which the tests hold them bit for bit to
torch.optim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metaqnn_trainer.contract.messages import Recipe


class Optimizer:
    """Adam (Kingma and Ba 2015) or SGD with momentum, by the recipe. Weight decay adds to the gradient, as in Caffe."""

    def __init__(self, model: nn.Module, recipe: Recipe, of: str = "") -> None:
        """The parameters are those whose names begin with `of`.

        Raises:
            ValueError: there is none.
        """
        self._recipe = recipe
        self._named = {
            name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad and name.startswith(of)
        }
        if not self._named:
            raise ValueError(f"the net has no parameters whose names begin with {of!r}")
        self._parameters: list[Tensor] = list(self._named.values())
        self.inputs = self._parameters if of else None
        """The parameters of which a gradient is wanted; None where it is of all."""
        device = self._parameters[0].device
        # On a GPU it is a tensor, so that a recorded step reads the learning rate of its epoch there.
        self._rate: Any = torch.zeros((), device=device) if device.type == "cuda" else 0.0
        self._steps = torch.zeros((), device=device)
        slots: tuple[str, ...] = ("momentum_buffer",) if recipe.momentum else ()
        if recipe.optimizer == "adam":
            slots = ("exp_avg", "exp_avg_sq")
        self._state = {slot: [torch.zeros_like(p, requires_grad=False) for p in self._parameters] for slot in slots}

    def set_rate(self, rate: float) -> None:
        """Set the learning rate from now on."""
        self._rate = self._rate.fill_(rate) if isinstance(self._rate, Tensor) else rate

    def forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take one step along the present gradients."""
        recipe, state, parameters = self._recipe, self._state, self._parameters
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if len(gradients) < len(parameters):  # the other parameters had no part in the loss
            taken = [place for place, parameter in enumerate(parameters) if parameter.grad is not None]
            parameters = [parameters[place] for place in taken]
            state = {slot: [tensors[place] for place in taken] for slot, tensors in state.items()}
        self._steps += 1
        if recipe.optimizer == "adam":
            torch._fused_adam_(
                parameters,
                gradients,
                state["exp_avg"],
                state["exp_avg_sq"],
                [],
                [self._steps] * len(gradients),
                lr=self._rate,
                beta1=recipe.adam_betas[0],
                beta2=recipe.adam_betas[1],
                weight_decay=recipe.weight_decay,
                eps=recipe.adam_epsilon,
                amsgrad=False,
                maximize=False,
            )
        else:
            torch._fused_sgd_(
                parameters,
                gradients,
                state.get("momentum_buffer", []),
                weight_decay=recipe.weight_decay,
                momentum=recipe.momentum,
                lr=self._rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )

    def state(self) -> dict[str, Tensor]:
        """The state on which the next step depends, beside parameters, gradients and learning rate: the tensors
        themselves.
        """
        named = {
            f"{slot}/{name}": tensor
            for slot, tensors in self._state.items()
            for name, tensor in zip(self._named, tensors, strict=True)
        }
        return {"steps": self._steps, **named}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore this state.

        Raises:
            RuntimeError: it is of other parameters, or of another optimiser.
        """
        own = self.state()
        if {name: tensor.shape for name, tensor in own.items()} != {name: t.shape for name, t in state.items()}:
            raise RuntimeError("the optimiser's state is that of other parameters")
        for name, tensor in own.items():
            tensor.copy_(state[name])


class Optimizers:
    """The optimisers of a task's turns: turns of the same parameters share one."""

    def __init__(self, model: nn.Module, recipe: Recipe, turns: Sequence[str]) -> None:
        """`turns` are as `Task.turns` says.

        Raises:
            ValueError: a turn has no parameters, or shares some with another one.
        """
        if any(one != other and one.startswith(other) for one in turns for other in turns):
            raise ValueError(f"turns {', '.join(map(repr, turns))} share parameters")
        self._turns = turns
        self._own = {of: Optimizer(model, recipe, of) for of in turns}

    def __iter__(self) -> Iterator[Optimizer]:
        """The optimiser of each turn."""
        return (self._own[of] for of in self._turns)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of all from now on."""
        for optimizer in self._own.values():
            optimizer.set_rate(rate)

    def state(self) -> dict[str, Tensor]:
        """The state of all of them, as `Optimizer.state` says."""
        return {of + name: tensor for of, own in self._own.items() for name, tensor in own.state().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore this state.

        Raises:
            RuntimeError: it is of other parameters, or of other optimisers.
        """
        for of, own in self._own.items():
            own.load({name.removeprefix(of): tensor for name, tensor in state.items() if name.startswith(of)})
