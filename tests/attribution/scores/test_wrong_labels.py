"""Are as many labels wrong as asked for, and confusable ones the likeliest?"""

import pytest
import torch

from smallscale.attribution.scores.wrong_labels import wrong_labels

LABELS = torch.arange(60) % 3


def test_a_share_of_the_labels_is_exchanged_for_another_class() -> None:
    spoilt = wrong_labels(LABELS, 0.1, 3)
    assert int((spoilt != LABELS).sum()) == 6
    assert set(spoilt.tolist()) == {0, 1, 2}
    assert torch.equal(spoilt, wrong_labels(LABELS, 0.1, 3))
    assert not torch.equal(spoilt, wrong_labels(LABELS, 0.1, 3, seed=1))


def test_a_confusable_label_is_the_likeliest_after_the_right_one() -> None:
    """A model sure of the right class, and of the next higher after it."""
    logits = torch.nn.functional.one_hot(LABELS, 3) * 9.0
    logits += torch.nn.functional.one_hot((LABELS + 1) % 3, 3) * 3.0
    spoilt = wrong_labels(LABELS, 0.5, 3, logits=logits)
    wrong = spoilt != LABELS
    assert int(wrong.sum()) == 30
    assert torch.equal(spoilt[wrong], ((LABELS + 1) % 3)[wrong])
    assert torch.equal(wrong, wrong_labels(LABELS, 0.5, 3) != LABELS)


@pytest.mark.parametrize(("share", "classes"), [(1.5, 3), (0.1, 1)])
def test_numbers_out_of_range_are_refused(share: float, classes: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong_labels(LABELS, share, classes)


def test_a_column_of_labels_is_refused():
    with pytest.raises(ValueError, match=r"labels must be \(n,\)"):
        wrong_labels(torch.zeros(4, 1, dtype=torch.long), 0.5, 3)
