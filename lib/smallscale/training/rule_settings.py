"""Which settings may a parameter group have? Those of its rule, and none beside.

A group, or a state that is loaded, may come from torch. What would change the step
there and is not heeded here is refused by name.
"""

from typing import Any

from torch import Tensor

from smallscale.core.validation import (
    finite_number,
    one_of,
    require,
    shown,
    whole_number,
)

RATE_RULES = ("original", "match_rms_adamw")
# Switches of torch's that would change the step; a rule has its own, see `switches`.
OFF = {"amsgrad": False, "decoupled_weight_decay": False, "maximize": False}
# What else a group may hold: how torch computes the step, and what its schedules note.
HOW = {"foreach", "fused", "capturable", "differentiable"}
NOTED = {"initial_lr", "swa_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"}
BESIDE_SETTINGS = {"params", "param_names", "name"} | HOW | NOTED

Settings = dict[str, Any]  # of a parameter group: lr, betas, ...


def checked_group(rule: Any, group: Settings, known: set[str]) -> Settings:
    """Return the settings of a group as the step takes them, or refuse the group.

    rule: the optimizer's class; its `switches` are what those of torch's Adam would be
    that takes the same step. known: the names of its settings, all of which the group
    must have.
    Raises ValueError for a setting that is missing, out of range, or not known.
    """
    known = known - HOW  # torch adds `differentiable` to the defaults
    names = ", ".join(sorted(known))
    for name, value in group.items():
        if name in rule.switches:
            fixed = rule.switches[name]
            require(
                bool(value) == fixed,
                f"{name} must be {fixed} for {rule.__name__}, which has no such "
                f"switch; got {shown(value)}: leave it out, or take another optimizer",
            )
            continue
        require(
            name in known or name in BESIDE_SETTINGS,
            f"{shown(name)} is no setting of {rule.__name__}; its settings are {names}",
        )
    missing = sorted(known - set(group))
    require(
        not missing,
        f"a group of {rule.__name__} must have the settings {names}; "
        f"{', '.join(missing)} missing: load a state that the same rule saved",
    )
    return _checked_settings({name: group[name] for name in known})


def _checked_settings(given: Settings) -> Settings:
    """Return the settings of a group, or refuse those that are out of range."""
    settings = dict(given)
    settings["lr"] = _number("lr", given["lr"], least=0)
    for name in ("eps", "weight_decay"):
        if name in given:
            settings[name] = _number(name, given[name], least=0)
    if "rho" in given:
        settings["rho"] = _number("rho", given["rho"], above=0)
    if "betas" in given:
        betas = given["betas"]
        pair = isinstance(betas, (tuple, list)) and len(betas) == 2
        require(pair, f"betas must be two numbers, each in [0, 1); got {betas!r}")
        settings["betas"] = tuple(
            _number(f"betas[{i}]", beta, least=0, below=1)
            for i, beta in enumerate(betas)
        )
    if "momentum" in given:
        settings["momentum"] = _number("momentum", given["momentum"], least=0, below=1)
        settings["ns_steps"] = whole_number(
            "ns_steps", given["ns_steps"], least=0, most=99
        )
        coefficients = given["ns_coefficients"]
        three = isinstance(coefficients, (tuple, list)) and len(coefficients) == 3
        require(three, f"ns_coefficients must be three numbers; got {coefficients!r}")
        settings["ns_coefficients"] = tuple(
            _number(f"ns_coefficients[{i}]", coefficient)
            for i, coefficient in enumerate(coefficients)
        )
        rule = given["adjust_lr_fn"]
        if rule is not None:
            one_of("adjust_lr_fn", rule, RATE_RULES)
    return settings


def _number(name: str, value: Any, **bounds: float) -> Any:
    """Return a finite number within bounds, as float unless it is a tensor.

    A tensor stays one, for a loop that changes its learning rate in place.
    """
    number = finite_number(name, value, **bounds)
    return value if isinstance(value, Tensor) else number
