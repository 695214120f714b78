"""How does an optimizer turn a gradient into a step? Five rules, the simplest first.

Each is a torch.optim.Optimizer with torch's argument names, and its method `update` is
the paper's algorithm for one parameter:

- Adam: Kingma and Ba 2015, algorithm 1
- AdamW: Loshchilov and Hutter 2019, algorithm 2
- AMSGrad: Reddi, Kale and Kumar 2018, algorithm 2
- SophiaG: Liu, Li, Hall, Liang and Ma 2024, algorithms 2 and 3
- Muon: Jordan and others 2024 (a post, kellerjordan.github.io/posts/muon)
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from smallscale.core.validation import require, whole_number
from smallscale.training.rule_settings import OFF, Settings, checked_group

# p(s) = a s + b s^3 + c s^5 lifts a small singular value by a factor of 3.4 a time and
# keeps a large one between about 0.7 and 1.2 (Jordan et al. 2024).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
SMALLEST_CURVATURE = 1e-15

State = dict[str, Any]  # of one parameter: what is remembered from step to step


class _UpdateRule(Optimizer):
    """An optimizer that moves one parameter after the other, each by `update`.

    switches: what those of torch's Adam would be that takes the same step. A group, or
    a loaded state, may name them, but as nothing else.
    """

    switches = OFF

    def add_param_group(self, param_group: Settings) -> None:
        """Check a group's settings and parameters before it is taken.

        Raises ValueError for a setting that the rule does not know or that is out of
        range, and for a parameter that the rule cannot move.
        """
        settings = {**self.defaults, **param_group}
        checked = checked_group(type(self), settings, set(self.defaults))
        super().add_param_group(param_group)
        self.param_groups[-1].update(checked)
        try:
            for parameter in self.param_groups[-1]["params"]:
                self.check_parameter(parameter)
        except ValueError:
            del self.param_groups[-1]
            raise

    def __setstate__(self, state: State) -> None:
        """Check the settings of a loaded state before any of it is taken.

        torch's load_state_dict comes here with them, as do copies. Raises ValueError
        for a setting that is missing, out of range, or not known to the rule.
        """
        known = set({**self.__dict__, **state}["defaults"])
        for group in state["param_groups"]:
            group.update(checked_group(type(self), group, known))
        super().__setstate__(state)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; return the closure's loss, if any.

        closure: computes the loss and its gradients anew.
        Raises ValueError for a sparse gradient.
        """
        loss = _with_gradients(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient = self.dense(parameter.grad)
                self.update(parameter, gradient, self.state[parameter], group)
        return loss

    def dense(self, gradient: Tensor) -> Tensor:
        """Return the gradient, and refuse a sparse one."""
        require(
            gradient.layout == torch.strided,
            f"{type(self).__name__} takes dense gradients; "
            "build the embedding with sparse=False",
        )
        return gradient

    def check_parameter(self, parameter: Tensor) -> None:
        """Refuse a parameter that this rule cannot move."""
        require(
            parameter.is_floating_point(),
            f"{type(self).__name__} moves real numbers; "
            f"got a parameter of {parameter.dtype}",
        )

    def update(
        self, x: Tensor, gradient: Tensor, state: State, settings: Settings
    ) -> None:
        """Move one parameter in place."""
        raise NotImplementedError


class Adam(_UpdateRule):
    """Adaptive moments (Kingma and Ba 2015, algorithm 1):
        m = beta1 m + (1 - beta1) g            mean of the gradient
        v = beta2 v + (1 - beta2) g^2          mean of its square
        x = x - lr m^ / (sqrt(v^) + eps),      m^ = m / (1 - beta1^t), v^ likewise

    params: parameters, or groups of them with settings of their own. lr: the length of
    a step. betas: how much of either mean is kept, each in [0, 1). eps: added outside
    the root, to the corrected one, as in the paper; a gradient far below it moves
    nothing. weight_decay: a multiple of x that is added to the gradient, so that it is
    divided by sqrt(v^) as well.
    Raises ValueError for a setting out of range and for complex parameters.

    >>> x = torch.tensor([3.0, -0.001], requires_grad=True)
    >>> x.grad = x.detach().clone()
    >>> Adam([x], lr=0.5).step()  # the first step is lr long, whatever the gradient
    >>> x.detach()
    tensor([2.5000, 0.4990])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, settings)

    def update(
        self, x: Tensor, gradient: Tensor, state: State, settings: Settings
    ) -> None:
        """Move one parameter along its corrected mean gradient."""
        beta1, beta2 = settings["betas"]
        m = _remembered(state, "exp_avg", x)
        v = _remembered(state, "exp_avg_sq", x)
        t = _counted(state)
        g = self.decayed(x, gradient, settings)
        m.lerp_(g, 1 - beta1)  # m_t = beta1 m + (1 - beta1) g
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)  # v_t
        # The two corrections: m and v start at 0, not at the gradient's mean.
        root = self.second_moment(v, state).sqrt() / math.sqrt(1 - beta2**t)
        step_size = settings["lr"] / (1 - beta1**t)
        x.addcdiv_(m, root.add_(settings["eps"]), value=-step_size)

    def decayed(self, x: Tensor, g: Tensor, settings: Settings) -> Tensor:
        """Return the gradient of the loss and of weight_decay/2 ||x||^2."""
        decay = settings["weight_decay"]
        return g.add(x, alpha=decay) if decay else g

    def second_moment(self, v: Tensor, state: State) -> Tensor:
        """Return what the step divides by the root of."""
        return v


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2):
        x = (1 - lr weight_decay) x,  then Adam's step on the loss's gradient alone

    Every weight shrinks by the same share, which Adam's weight_decay does not do: there
    a weight with large gradients decays less. Arguments as for Adam.

    >>> x = torch.tensor([2.0, 2.0], requires_grad=True)
    >>> x.grad = torch.zeros(2)
    >>> AdamW([x], lr=0.1, weight_decay=0.5).step()
    >>> x.detach()
    tensor([1.9000, 1.9000])
    """

    switches = OFF | {"decoupled_weight_decay": True}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def decayed(self, x: Tensor, g: Tensor, settings: Settings) -> Tensor:
        """Shrink the weights in place; return the gradient as it is."""
        if settings["weight_decay"]:
            x.mul_(1 - settings["lr"] * settings["weight_decay"])
        return g


class AMSGrad(Adam):
    """Adam that never forgets a large gradient (Reddi et al. 2018, algorithm 2):
        u = max(u, v),  and the step divides by sqrt(u)

    So the factor on a gradient can only shrink, which Adam's proof of convergence needs
    and Adam does not have. As torch does with amsgrad=True, the maximum is taken before
    the correction by 1 - beta2^t, which the paper leaves out. Arguments as for Adam.

    >>> x = torch.zeros(1, requires_grad=True)
    >>> optimizer = AMSGrad([x], lr=1.0, betas=(0.0, 0.0))
    >>> for x.grad in (torch.tensor([10.0]), torch.tensor([-1.0])):
    ...     optimizer.step()
    >>> x.detach()  # -1, then 1/10 back
    tensor([-0.9000])
    """

    switches = OFF | {"amsgrad": True}

    def second_moment(self, v: Tensor, state: State) -> Tensor:
        """Return the largest v so far."""
        u = _remembered(state, "max_exp_avg_sq", v)
        return torch.maximum(u, v, out=u)


class SophiaG(_UpdateRule):
    """Clipped steps divided by curvature (Liu et al. 2024, algorithm 3):
        m = beta1 m + (1 - beta1) g
        x = x - lr sign(m) min(|m| / (rho bs h + 1e-15), 1),  after x = (1 - lr decay) x

    h is the mean of the Gauss-Newton-Bartlett estimate of the Hessian's diagonal
    (algorithm 2), which `update_hessian` renews every ten steps or so. Before its first
    call h is 0, so that every step is lr long: signs with momentum.

    params: parameters, or groups of them. lr: the longest step of a weight. betas: how
    much of m and of h is kept. rho: how often a step is clipped: the larger, the less
    often. weight_decay: decoupled, as in AdamW. `step` takes bs, the number of examples
    (tokens, for a language model) in the batch of the loss that update_hessian saw.
    Raises ValueError for a setting out of range and for complex parameters.

    >>> x = torch.tensor([3.0, -0.5], requires_grad=True)
    >>> x.grad = x.detach().clone()
    >>> SophiaG([x], lr=0.25, weight_decay=0).step()
    >>> x.detach()
    tensor([ 2.7500, -0.2500])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.965, 0.99),
        rho: float = 0.04,
        weight_decay: float = 1e-1,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "rho": rho, "weight_decay": weight_decay}
        super().__init__(params, settings)
        self._bs = 1

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None, bs: int = 5120) -> Any:
        """Move every parameter that has a gradient; return the closure's loss, if any.

        bs: how many examples the loss behind `update_hessian` was a mean over. The
        default is the authors' own.
        """
        self._bs = whole_number("bs", bs)
        return super().step(closure)

    def update(
        self, x: Tensor, gradient: Tensor, state: State, settings: Settings
    ) -> None:
        """Move one parameter by at most lr in each coordinate."""
        m = _remembered(state, "exp_avg", x)
        h = _remembered(state, "hessian", x)
        _counted(state)
        x.mul_(1 - settings["lr"] * settings["weight_decay"])
        m.lerp_(gradient, 1 - settings["betas"][0])
        curvature = settings["rho"] * self._bs * h + SMALLEST_CURVATURE
        share = (m.abs() / curvature).clamp(max=1)
        x.addcmul_(m.sign(), share, value=-settings["lr"])

    @torch.no_grad()
    def update_hessian(self) -> None:
        """Take the gradients that the parameters hold now into the curvature:
            h = beta2 h + (1 - beta2) g^2

        g is the gradient of the mean loss on labels that were drawn from the model's
        own distribution, not the true ones: then bs g^2 estimates the Gauss-Newton
        diagonal without bias (algorithm 2). Call it after that loss's backward pass,
        and clear the gradients before the next step. Raises ValueError for a sparse
        gradient.
        """
        for group in self.param_groups:
            for x in group["params"]:
                if x.grad is None:
                    continue
                g = self.dense(x.grad)
                h = _remembered(self.state[x], "hessian", x)
                beta2 = group["betas"][1]
                h.mul_(beta2).addcmul_(g, g, value=1 - beta2)


class Muon(_UpdateRule):
    """Momentum, orthogonalised (Jordan et al. 2024), for matrices inside a network:
        m = momentum m + (1 - momentum) g
        x = x - lr scale U V^T,    U S V^T = g + momentum (m - g)

    Every direction of the update gets the same length, so that rare directions learn as
    fast as frequent ones. U V^T is approached by `newton_schulz`, in bfloat16.

    params: matrices, or groups of them; embeddings, heads and vectors belong to AdamW.
    nesterov: whether the update looks one step ahead; False: U S V^T = m.
    ns_coefficients, ns_steps, eps: of newton_schulz. weight_decay: decoupled.
    adjust_lr_fn: "original" (or None), where scale = sqrt(max(1, rows/columns)), or
    "match_rms_adamw", where it is 0.2 sqrt(max(rows, columns)), so that rates tuned for
    AdamW fit (Liu et al. 2025).
    Raises ValueError for a setting out of range and for a parameter that is no matrix.

    >>> x = torch.eye(2, requires_grad=True)
    >>> x.grad = torch.diag(torch.tensor([1.0, 100.0]))
    >>> Muon([x], lr=0.5, weight_decay=0).step()
    >>> (1 - x.diagonal()).tolist()  # not 100 times further in the second direction
    [0.345703125, 0.34375]
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = NEWTON_SCHULZ,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        settings = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, settings)

    def check_parameter(self, parameter: Tensor) -> None:
        """Refuse what is no matrix."""
        super().check_parameter(parameter)
        require(
            parameter.ndim == 2,
            "params must be matrices for Muon, and vectors, embeddings and heads go to "
            f"AdamW; got a parameter of shape {tuple(parameter.shape)}",
        )

    def update(
        self, x: Tensor, gradient: Tensor, state: State, settings: Settings
    ) -> None:
        """Move one matrix by a multiple of an orthogonal one."""
        momentum = settings["momentum"]
        m = _remembered(state, "momentum_buffer", x)
        m.lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(m, momentum) if settings["nesterov"] else m
        direction = newton_schulz(
            ahead, settings["ns_coefficients"], settings["ns_steps"], settings["eps"]
        )
        rows, columns = x.shape
        scale = math.sqrt(max(1, rows / columns))
        if settings["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        x.mul_(1 - settings["lr"] * settings["weight_decay"])
        x.add_(direction, alpha=-settings["lr"] * scale)


def newton_schulz(
    matrix: Tensor,
    coefficients: tuple[float, float, float] = NEWTON_SCHULZ,
    steps: int = 5,
    eps: float = 1e-7,
) -> Tensor:
    """Return about U V^T of a matrix U S V^T, without its decomposition:
        X = a X + b (X X^T) X + c (X X^T)^2 X,  from X = matrix / ||matrix||

    Each step sends every singular value s to a s + b s^3 + c s^5 and leaves U and V.
    The result is bfloat16, and its singular values lie between about 0.7 and 1.2, save
    those that were below a thousandth of the norm.
    """
    a, b, c = coefficients
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T  # the smaller square is cheaper
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        square = x @ x.T
        polynomial = torch.addmm(square, square, square, beta=b, alpha=c)
        x = torch.addmm(x, polynomial, x, beta=a)
    return x.T if tall else x


def _remembered(state: State, name: str, like: Tensor) -> Tensor:
    """Return what is kept under this name, zeros at first."""
    if name not in state:
        state[name] = torch.zeros_like(like, memory_format=torch.preserve_format)
    kept: Tensor = state[name]
    return kept


def _counted(state: State) -> int:
    """Count one step more; return how many there were."""
    # A state that torch's own optimizer has saved counts in a tensor.
    state["step"] = int(state.get("step", 0)) + 1
    return int(state["step"])


def _with_gradients(closure: Callable[[], Any] | None) -> Any:
    """Return what the closure returns, computed with gradients; None without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
