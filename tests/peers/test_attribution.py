"""Do captum, dattri and traker, by other people, come to the same scores?"""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from smallscale.attribution import influence, knn_shapley, tracin, trak
from smallscale.models.classifiers import small_mlp

cross_entropy = partial(F.cross_entropy, reduction="none")
WEIGHT_DECAY = 0.02


def needed(name):
    return pytest.importorskip(
        name, reason=f"{name} is not installed: pip install 'smallscale[peers]'"
    )


def blobs(n, seed):
    y = torch.arange(n) % 3
    centres = 1.2 * torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    return centres[y] + torch.randn(
        n, 5, generator=torch.Generator().manual_seed(seed)
    ), y


TRAIN, TEST = blobs(60, 1), blobs(9, 2)


@pytest.fixture(scope="module")
def model():
    """Softmax regression at its minimum, where Gauss-Newton is the peers' Hessian."""
    model = nn.Sequential(nn.Linear(5, 3))
    optimizer = torch.optim.LBFGS(
        model.parameters(),
        max_iter=300,
        tolerance_grad=1e-8,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        penalty = sum(p.square().sum() for p in model.parameters())
        value = F.cross_entropy(model(TRAIN[0]), TRAIN[1]) + WEIGHT_DECAY / 2 * penalty
        value.backward()
        return value

    optimizer.step(closure)
    return model


def loader(examples):
    return DataLoader(
        TensorDataset(*examples), batch_size=len(examples[0]), shuffle=False
    )


def dattri_task(models, per_example=False):
    task = needed("dattri.task")
    shell = copy.deepcopy(models[0])  # dattri loads every checkpoint into it

    def loss(params, data):
        x, y = data
        if per_example:
            x, y = x.unsqueeze(0), y.unsqueeze(0)
        return F.cross_entropy(functional_call(shell, params, x), y)

    return task.AttributionTask(loss, shell, [model.state_dict() for model in models])


def test_influence_is_dattris_with_the_inverse_of_the_explicit_hessian(model):
    algorithm = needed("dattri.algorithm.influence_function")
    attributor = algorithm.IFAttributorExplicit(
        dattri_task([model]), regularization=WEIGHT_DECAY
    )
    attributor.cache(loader(TRAIN))
    theirs = attributor.attribute(
        loader(TRAIN), loader(TEST)
    )  # for a point of weight 1, where ours weighs 1/n
    ours = influence(model, cross_entropy, TRAIN, TEST, weight_decay=WEIGHT_DECAY)
    torch.testing.assert_close(ours * len(TRAIN[0]), theirs, atol=1e-4, rtol=1e-3)


def test_influence_is_captums_with_the_inverse_of_the_explicit_hessian(model):
    captum = needed("captum.influence._core.influence_function")
    theirs = captum.NaiveInfluenceFunction(
        model,
        TensorDataset(*TRAIN),
        checkpoint="",
        checkpoints_load_func=lambda model, path: 1.0,
        loss_fn=nn.CrossEntropyLoss(reduction="none"),
        batch_size=60,
        projection_dim=18,
        hessian_reg=60 * WEIGHT_DECAY,  # its Hessian is of the sum over examples
        hessian_inverse_tol=1e-9,
    ).influence(TEST)
    ours = influence(model, cross_entropy, TRAIN, TEST, weight_decay=WEIGHT_DECAY)
    torch.testing.assert_close(ours, theirs.T, atol=1e-5, rtol=1e-3)


def test_tracin_is_dattris_and_captums():
    models = [small_mlp(5, 3, hidden=4, seed=seed) for seed in range(2)]
    ours = tracin(models, cross_entropy, TRAIN, TEST, lrs=[0.5, 0.1])
    algorithm = needed("dattri.algorithm.tracin")
    attributor = algorithm.TracInAttributor(
        dattri_task(models, per_example=True),
        weight_list=torch.tensor([0.5, 0.1]),
        normalized_grad=False,
        projector_kwargs={"proj_type": "identity"},
    )
    torch.testing.assert_close(
        ours, attributor.attribute(loader(TRAIN), loader(TEST)), atol=1e-5, rtol=1e-4
    )

    captum = needed("captum.influence")
    shell = small_mlp(5, 3, hidden=4)

    def load(model, which):
        model.load_state_dict(models[int(which)].state_dict())
        return [0.5, 0.1][int(which)]

    theirs = captum.TracInCP(
        shell,
        TensorDataset(*TRAIN),
        checkpoints=["0", "1"],
        checkpoints_load_func=load,
        loss_fn=nn.CrossEntropyLoss(reduction="sum"),
        batch_size=20,
        sample_wise_grads_per_batch=True,
    ).influence(TEST)
    torch.testing.assert_close(ours, theirs.T, atol=1e-5, rtol=1e-4)


def test_trak_is_trakers_where_the_projection_cannot_matter(model, tmp_path):
    # As wide as the gradients' rank, any projection spans the same space, and the
    # scores do not depend on it.
    projectors = needed("trak.projectors")
    traker = needed("trak").TRAKer(
        model,
        task="image_classification",
        train_set_size=60,
        save_dir=str(tmp_path),
        device="cpu",
        # Of 18 parameters; logits moved alike leave 12 directions. In one block, its
        # projector loses its matrix.
        projector=projectors.BasicProjector(
            18, 12, seed=0, proj_type="normal", device="cpu", block_size=6
        ),
        use_half_precision=False,
        logging_level=40,
    )
    traker.load_checkpoint(model.state_dict(), model_id=0)
    traker.featurize(batch=TRAIN, num_samples=60)
    traker.finalize_features()
    traker.start_scoring_checkpoint(
        "test", model.state_dict(), model_id=0, num_targets=9
    )
    traker.score(batch=TEST, num_samples=9)
    theirs = torch.tensor(traker.finalize_scores("test"))
    ours = trak(model, cross_entropy, TRAIN, TEST, projection=12)
    scale = (ours * theirs).sum() / (
        theirs * theirs
    ).sum()  # theirs is on a scale of its own
    torch.testing.assert_close(
        ours, scale * theirs, atol=2e-3 * float(ours.abs().max()), rtol=1e-2
    )
    assert scale > 0


@pytest.mark.parametrize("k", [1, 5])
def test_knn_shapley_is_dattris(k):
    algorithm = needed("dattri.algorithm.data_shapley")
    theirs = (
        algorithm.KNNShapleyAttributor(k_neighbors=k)
        .attribute(loader(TRAIN), loader(TEST))
        .T
    )
    torch.testing.assert_close(knn_shapley(*TRAIN, *TEST, k).float(), theirs.float())
