"""What would the model have been without these points? Train again, hundreds at a time.

Training again is the truth of attribution. Small networks spend their time on starting
operations, not on arithmetic; so all are trained together, their parameters stacked
into one tensor, by `torch.func.vmap`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from smallscale.attribution.scores.examples import as_type_of, finite_points
from smallscale.attribution.scores.loss_checks import Loss
from smallscale.attribution.scores.model_checks import (
    Models,
    copied,
    explained,
    outputs_of,
)
from smallscale.attribution.scores.stacks import (
    BY_VMAP,
    Stack,
    checked_stack,
    checked_work,
    state_of,
)
from smallscale.attribution.scores.training_config import TrainingConfig, with_bar
from smallscale.core.modes import eval_mode
from smallscale.core.validation import as_tensor, whole_number


def retrain(
    models: Models,
    loss: Loss,
    train: Any,
    config: TrainingConfig,
    *,
    rows: Any = None,
    weights: Any = None,
    progress: str = "",
) -> Stack:
    """Train many models together, each on its own part of the data:
        v <- momentum v + gradient + weight_decay theta,    theta <- theta - lr v
    and return their parameters by name, stacked, each (models, ...).

    models: of one architecture, with the weights that each starts from; a single one
    starts them all. Frozen parameters and buffers are each model's own; they stay as
    they are, and are in the stack as well. loss(outputs, targets): a value per example.
    train: (inputs, targets), n of each. rows: (models, k), which
    examples each model sees, in its own order; None: each sees all. weights: (models,
    k), of its examples in the batch's mean loss; 0 takes an example out while
    everything else in the run stays as it was; None: all 1. A single model, row or
    weighting serves all the others. Each model is trained as it would be alone (the
    same numbers up to rounding). Raises ValueError for layers that train and predict
    differently (dropout, batch norm), for rows or weights that do not fit, for a loss
    that is not one value per example, and, with the training point's position, for a
    loss or gradient that is or becomes infinite.

    >>> from smallscale.models import small_mlp
    >>> train = (torch.eye(4), torch.tensor([0, 1, 0, 1]))
    >>> loss = lambda logits, labels: logits.square().sum(-1)
    >>> config = TrainingConfig(epochs=1, batch_size=2)
    >>> stack = retrain(small_mlp(4, 2), loss, train, config, rows=[[0, 1], [2, 3]])
    >>> stack["3.bias"].shape
    torch.Size([2, 2])
    """
    work = checked_work(models, loss, train, rows, weights)
    stack = work.start()
    theta = list(stack.values())  # one tensor (models, ...) for each parameter
    v = [torch.zeros_like(parameter) for parameter in theta]
    steps = config.steps(work.examples)
    with eval_mode(work.model), torch.enable_grad():
        for batch, lr in with_bar(steps, progress):
            losses = work.losses(stack, batch)  # (models, b)
            mean = losses.sum() / len(batch)
            # Zeros for a parameter on which the loss does not depend.
            gradients = torch.autograd.grad(mean, theta, materialize_grads=True)
            work.check_step(stack, batch, losses, gradients)
            # One call for all parameters, since starting a call is what costs.
            with torch.no_grad():
                torch._foreach_mul_(v, config.momentum)
                torch._foreach_add_(v, gradients)
                torch._foreach_add_(v, theta, alpha=config.weight_decay)
                torch._foreach_add_(theta, v, alpha=-lr)
    return work.end(stack)


def stack_outputs(model: nn.Module, stack: Stack, inputs: Any) -> Tensor:
    """Return each model's outputs for inputs (n, ...), (models, n, ...).

    model: says how the stack's models are built. Raises ValueError for a stack of
    other ones.
    """
    like = checked_stack(model, stack)
    x = as_type_of(as_tensor("inputs", inputs), like)
    finite_points("inputs", x)
    outputs_of("inputs", member(model, stack), x[:1])
    with eval_mode(model), torch.no_grad(), explained(BY_VMAP):
        outputs: Tensor = vmap(lambda theta: functional_call(model, theta, (x,)))(stack)
    return outputs


def member(model: nn.Module, stack: Stack, k: int = 0) -> nn.Module:
    """Return the k-th model of the stack on its own, in eval mode.

    model: says how the stack's models are built. Raises ValueError for a stack of
    other ones, and for a k that it does not have.
    """
    checked_stack(model, stack)
    count = len(next(iter(stack.values())))
    k = whole_number("k", k, least=-count, most=count - 1)
    one = copied(model).eval()
    with torch.no_grad():
        for name, values in state_of(one).items():
            values.copy_(stack[name][k])
    return one
