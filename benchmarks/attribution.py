"""Are the scores as good as the peers', and as fast? Hundreds of retrainings tell.

There are 1,000 digits to train on, 300 to test, and an MLP of 2,410 parameters. The
truth is the margins of models trained on random halves, the mean of 5 seeds. Every
method's strength (damping, ridge) is tuned on other halves, then scored by the LDS on
these. Also measured: how much faster a stack of trainings is than a loop, and the
metagradient where 1 % is dropped.

    python benchmarks/attribution.py [stack] [influence] [trak] [metagradient]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from smallscale.attribution import (
    TrainingConfig,
    cross_entropy,
    grad_dot,
    influence,
    knn_shapley,
    lds,
    lds_ceiling,
    lds_interval,
    margins,
    member,
    metagradient,
    random_subsets,
    retrain,
    stack_outputs,
    tracin,
    trak,
)
from smallscale.attribution.scores.lds import as_masks
from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_mlp

CONFIG = TrainingConfig()
STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # beside the weight decay
RIDGES = (1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3)  # for gradients as they are
SUBSETS, SEEDS = 100, 5
DATA = digits()
TRAIN = (DATA.images[DATA.train][:1000], DATA.labels[DATA.train][:1000])
TEST = (DATA.images[DATA.test][:300], DATA.labels[DATA.test][:300])


def mlp(seed: int = 0) -> nn.Module:
    return small_mlp(64, seed=seed)


def seeded_config(seed: int) -> TrainingConfig:
    return replace(CONFIG, seed=seed)


def truth(subsets: int, seeds: int, first: int) -> tuple[Tensor, Tensor]:
    """Return masks of random halves, and the margins of models trained on them.

    Masks are (subsets, n_train), margins (seeds, subsets, n_test).
    """
    rows = random_subsets(len(TRAIN[0]), subsets, 0.5, seed=first)
    outputs = []
    for seed in range(first, first + seeds):
        stack = retrain(
            mlp(seed),
            cross_entropy,
            TRAIN,
            seeded_config(seed),
            rows=rows,
            progress=f"truth, seed {seed}",
        )
        outputs.append(margins(stack_outputs(mlp(), stack, TEST[0]), TEST[1]))
    return as_masks(rows, len(TRAIN[0])), torch.stack(outputs)


def alone(rows: Tensor, seed: int = 0) -> nn.Module:
    """One training as one usually writes it."""
    model, (x, y) = mlp(seed), (part[rows] for part in TRAIN)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=CONFIG.lr,
        momentum=CONFIG.momentum,
        weight_decay=CONFIG.weight_decay,
    )
    for batch, lr in CONFIG.steps(len(x)):
        optimizer.param_groups[0]["lr"] = lr
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def clocked(work: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    return work(), time.perf_counter() - begin


def benchmark_stack(console: Console) -> None:
    rows = random_subsets(1000, 500, 0.5, seed=1)
    table = Table(
        "round",
        "a loop, s a model",
        "the stack, s a model",
        "ratio",
        title="500 trainings on halves of 500",
    )
    ratios = []
    for round in range(3):
        singles = [clocked(lambda k=k: alone(rows[k])) for k in range(10)]  # type: ignore[misc]
        stack, together = clocked(
            lambda: retrain(mlp(), cross_entropy, TRAIN, CONFIG, rows=rows)
        )
        for p, q in zip(
            singles[3][0].parameters(),
            member(mlp(), stack, 3).parameters(),
            strict=True,
        ):
            torch.testing.assert_close(
                p, q, atol=1e-3, rtol=1e-2
            )  # the same model, up to rounding on the way
        one = statistics.median(seconds for _, seconds in singles)
        ratios.append(one / (together / len(rows)))
        table.add_row(
            str(round), f"{one:.4f}", f"{together / len(rows):.5f}", f"{ratios[-1]:.1f}"
        )
    console.print(
        table,
        f"threads: {torch.get_num_threads()}; "
        f"median ratio {statistics.median(ratios):.1f}, wanted 20",
    )


def compare(
    console: Console,
    title: str,
    methods: Iterable[tuple[str, Any, Iterable[float]]],
    tuning: Any,
    test: Any,
):
    """A row for each method: its strength tuned on one truth, its LDS on the other."""
    table = Table("method", "strength", "LDS", "95 % interval", "seconds", title=title)
    for name, method, strengths in methods:
        print(name, file=sys.stderr)
        found = []
        for strength in strengths:
            try:
                scores, seconds = clocked(partial(method, strength))
                found.append(
                    (
                        lds(scores, tuning[0], tuning[1].mean(0)),
                        strength,
                        scores,
                        seconds,
                    )
                )
            except Exception as error:
                print(f"  {name} at {strength}: {error}", file=sys.stderr)
        if not found:
            table.add_row(name, "", "failed", "", "")
            continue
        _, strength, scores, _ = max(found, key=lambda row: row[0])
        low, high = lds_interval(scores, test[0], test[1].mean(0))
        seconds = statistics.median(row[3] for row in found)
        score = lds(scores, test[0], test[1].mean(0))
        table.add_row(
            name,
            f"{strength:g}",
            f"{score:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{seconds:.2f}",
        )
        console.print(
            f"{name}: {score:.3f} ({low:.3f} to {high:.3f}), {seconds:.2f} s "
            f"at strength {strength:g}"
        )
    console.print(table)
    console.print(f"ceiling {lds_ceiling(test[1]):.3f}")


def dattri_task(models: list[nn.Module], target: Any = None) -> Any:
    from dattri.task import AttributionTask

    shell = mlp()

    def loss(params: Any, data: Any) -> Tensor:
        x, y = data
        x, y = (x, y) if x.dim() == 4 else (x[None], y[None])
        return F.cross_entropy(functional_call(shell, params, (x,)), y)

    def margin(params: Any, data: Any) -> Tensor:
        x, y = data
        x, y = (x, y) if x.dim() == 4 else (x[None], y[None])
        return margins(functional_call(shell, params, (x,)), y).sum()

    states = [model.state_dict() for model in models]
    return AttributionTask(margin if target == "margin" else loss, shell, states)


def loader(examples: Any, size: int = 1000) -> Any:
    return DataLoader(TensorDataset(*examples), batch_size=size, shuffle=False)


def dattri_influence(kind: str, model: nn.Module, strength: float) -> Tensor:
    from dattri.algorithm import influence_function as peers

    total = CONFIG.weight_decay + strength
    attributor = {
        "explicit": lambda task: peers.IFAttributorExplicit(task, regularization=total),
        "CG": lambda task: peers.IFAttributorCG(
            task, regularization=total, max_iter=20
        ),
        "Arnoldi": lambda task: peers.IFAttributorArnoldi(
            task, regularization=total, proj_dim=300, max_iter=300
        ),
    }[kind](dattri_task([model]))
    attributor.cache(loader(TRAIN))
    return attributor.attribute(loader(TRAIN), loader(TEST)).detach()


def captum_influence(kind: str, model: nn.Module, strength: float) -> Tensor:
    from captum.influence._core.arnoldi_influence_function import (
        ArnoldiInfluenceFunction,
    )
    from captum.influence._core.influence_function import NaiveInfluenceFunction

    common: dict[str, Any] = {
        "checkpoint": "",
        "checkpoints_load_func": lambda model, path: 1.0,
        "loss_fn": nn.CrossEntropyLoss(reduction="none"),
        "batch_size": 1000,
        "hessian_reg": 1000
        * (CONFIG.weight_decay + strength),  # of the sum over examples
    }
    data = TensorDataset(*TRAIN)
    if kind == "naive":
        method = NaiveInfluenceFunction(
            model, data, projection_dim=2410, hessian_inverse_tol=1e-6, **common
        )
    else:
        method = ArnoldiInfluenceFunction(
            model, data, projection_dim=100, arnoldi_dim=200, **common
        )
    return method.influence(TEST).T.detach()


def benchmark_influence(console: Console, tuning: Any, test: Any) -> None:
    models = [
        member(mlp(), retrain(mlp(s), cross_entropy, TRAIN, seeded_config(s)))
        for s in range(SEEDS)
    ]
    ours = partial(
        influence,
        loss=cross_entropy,
        train=TRAIN,
        test=TEST,
        weight_decay=CONFIG.weight_decay,
    )
    methods: list[tuple[str, Any, Iterable[float]]] = [
        ("influence", lambda s: ours(models[0], damping=s), STRENGTHS),
        (
            "influence, 5 models",
            lambda s: torch.stack([ours(m, damping=s) for m in models]).mean(0),
            STRENGTHS,
        ),
        (
            "tracin, 5 models",
            lambda s: tracin(models, cross_entropy, TRAIN, TEST),
            (0,),
        ),
        ("grad_dot", lambda s: grad_dot(models[0], cross_entropy, TRAIN, TEST), (0,)),
        ("knn_shapley", lambda k: knn_shapley(*TRAIN, *TEST, int(k)), (1, 5, 20)),
        *[
            (f"dattri {kind}", partial(dattri_influence, kind, models[0]), grid)
            for kind, grid in (
                ("CG", STRENGTHS[1:4]),
                ("Arnoldi", STRENGTHS[1:4]),
                ("explicit", STRENGTHS[1:4]),
            )
        ],
        (
            "captum Arnoldi",
            partial(captum_influence, "Arnoldi", models[0]),
            STRENGTHS[1:4],
        ),
        ("captum naive", partial(captum_influence, "naive", models[0]), STRENGTHS[1:4]),
    ]
    compare(console, "Influence, one model unless said", methods, tuning, test)


def dattri_trak(models: list[nn.Module], ridge: float) -> Tensor:
    from dattri.algorithm.trak import TRAKAttributor

    shell = mlp()

    def probability(params: Any, data: Any) -> Tensor:
        return functional_call(shell, params, (data[0][None],)).softmax(1)[0, data[1]]

    # Its gradients are divided by sqrt(2,410), its projection is not: entries of P have
    # variance 1.
    attributor = TRAKAttributor(
        dattri_task(models, "margin"),
        probability,
        {"proj_dim": 512},
        regularization=ridge * 512 / 2410,
    )
    attributor.cache(loader(TRAIN))
    return attributor.attribute(loader(TEST)).detach()


def traker_trak(models: list[nn.Module], ridge: float) -> Tensor:
    from trak import TRAKer

    with tempfile.TemporaryDirectory() as folder:
        traker = TRAKer(
            models[0],
            task="image_classification",
            train_set_size=1000,
            save_dir=folder,
            device="cpu",
            proj_dim=512,
            use_half_precision=False,
            lambda_reg=ridge * 512 / 2410,
            logging_level=40,
        )
        for k, model in enumerate(models):
            traker.load_checkpoint(model.state_dict(), model_id=k)
            traker.featurize(batch=TRAIN, num_samples=1000)
        traker.finalize_features()
        for k, model in enumerate(models):
            traker.start_scoring_checkpoint(
                "test", model.state_dict(), model_id=k, num_targets=300
            )
            traker.score(batch=TEST, num_samples=300)
        return torch.tensor(traker.finalize_scores("test"))


def benchmark_trak(console: Console, tuning: Any, test: Any) -> None:
    models = [
        member(mlp(), retrain(mlp(s), cross_entropy, TRAIN, seeded_config(s)))
        for s in range(SEEDS)
    ]
    methods: list[tuple[str, Any, Iterable[float]]] = [
        ("trak", lambda r: trak(models, cross_entropy, TRAIN, TEST, ridge=r), RIDGES),
        (
            "trak, no ridge",
            lambda r: trak(models, cross_entropy, TRAIN, TEST, projection=256),
            (0,),
        ),
        ("dattri TRAK", partial(dattri_trak, models), RIDGES),
        ("traker", partial(traker_trak, models), RIDGES),
    ]
    compare(console, "TRAK, five models, 512 projections", methods, tuning, test)


def benchmark_metagradient(console: Console) -> None:
    table = Table(
        "seed",
        "dropped",
        "metagradient",
        "influence",
        "seconds",
        title="One run, points taken out of it",
    )
    for seed in range(3):
        config = seeded_config(seed)
        scores, seconds = clocked(
            lambda seed=seed, config=config: metagradient(
                mlp(seed), cross_entropy, TRAIN, TEST, config=config, progress="back"
            )
        )
        model = member(mlp(), retrain(mlp(seed), cross_entropy, TRAIN, config))
        other = influence(
            model,
            cross_entropy,
            TRAIN,
            TEST,
            weight_decay=config.weight_decay,
            damping=3e-3,
        )
        for dropped in (0.01, 0.1, 0.5):
            masks = as_masks(
                random_subsets(1000, SUBSETS, 1 - dropped, seed=50 + seed), 1000
            )
            stack = retrain(mlp(seed), cross_entropy, TRAIN, config, weights=masks)
            outputs = margins(stack_outputs(mlp(), stack, TEST[0]), TEST[1])
            both = [f"{lds(s, masks, outputs):.3f}" for s in (scores, other)]
            table.add_row(str(seed), f"{dropped:.0%}", *both, f"{seconds:.1f}")
    console.print(table, "wanted: .93 where 1 % is dropped")


def main() -> None:
    """Measure and print."""
    parts, console = (
        sys.argv[1:] or ["stack", "influence", "trak", "metagradient"],
        Console(width=110),
    )
    if "stack" in parts:
        benchmark_stack(console)
    if {"influence", "trak"} & set(parts):
        tuning, test = truth(50, 2, 1000), truth(SUBSETS, SEEDS, 2000)
        if "influence" in parts:
            benchmark_influence(console, tuning, test)
        if "trak" in parts:
            benchmark_trak(console, tuning, test)
    if "metagradient" in parts:
        benchmark_metagradient(console)


if __name__ == "__main__":
    main()
