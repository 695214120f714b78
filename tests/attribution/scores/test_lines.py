"""Are lines cut, learnt and written as the examples of a language model should be?"""

import pytest
import torch

from smallscale.attribution import TrainingConfig, member, retrain, stack_outputs
from smallscale.attribution.scores.lines import (
    LINE_END,
    PADDING,
    LineModel,
    Lines,
    code_lines,
    line_loss,
    shared_words,
    written_lines,
)

TEXT = "x = x + x\n    x = x\ny = (x)\nx\nx = x + x\n"


@pytest.fixture
def lines() -> Lines:
    return code_lines({"a.py": TEXT, "b.py": "x = x\nx = (x)\n"}, 3, words=6)


def test_lines_are_different_known_and_of_the_first_document(lines: Lines) -> None:
    assert lines.words == [" ", "x", "=", "(", ")", "+"]
    found = dict(zip(lines.texts, lines.sources, strict=True))
    assert found == {"x = x + x": "a.py", "x = x": "a.py", "x = (x)": "b.py"}


def test_targets_are_the_next_tokens_and_end_the_line(lines: Lines) -> None:
    assert lines.inputs.shape == lines.targets.shape == (3, 15)
    assert torch.equal(lines.inputs[:, 1:], lines.targets[:, :-1])
    assert (lines.inputs[:, 0] == LINE_END).all()
    row = lines.targets[lines.texts.index("x = x")]
    assert row[:6].tolist() == [3, 2, 4, 2, 3, LINE_END]
    assert (row[6:] == PADDING).all()
    assert lines.vocabulary == 2 + len(lines.words)


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(ValueError, match="count must be at most 3, the lines that use"):
        code_lines({"a.py": TEXT}, 4, words=8)


def test_the_draw_is_seeded() -> None:
    text = "".join(f"x = {word}\n" for word in "abcdefgh")
    first, again, other = (
        code_lines({"a.py": text}, 6, seed=seed).texts for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_padding_has_no_loss() -> None:
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[2, 3, 1, 0], [4, 1, 0, 0]])
    p = logits.log_softmax(-1)
    expected = torch.stack(
        [
            -(p[0, 0, 2] + p[0, 1, 3] + p[0, 2, 1]) / 3,
            -(p[1, 0, 4] + p[1, 1, 1]) / 2,
        ]
    )
    torch.testing.assert_close(line_loss(logits, targets), expected)


def test_a_model_learns_a_line_and_writes_it(lines: Lines) -> None:
    config = TrainingConfig(epochs=120, batch_size=3, lr=0.3, weight_decay=0)
    start = LineModel(lines, width=16)
    train = (lines.inputs, lines.targets)
    stack = retrain(start, line_loss, train, config)
    model = member(start, stack)
    assert line_loss(stack_outputs(start, stack, train[0])[0], train[1]).mean() < 0.3
    texts, inputs, targets = written_lines(model, lines, ["x = (", "x ="])
    assert texts[0] == "x = (x)"
    assert inputs.shape == targets.shape == (2, 15)
    given = 5  # x, blank, =, blank, (
    assert (targets[0, :given] == PADDING).all()
    assert torch.equal(targets[0, given:-1], inputs[0, given + 1 :])
    assert targets[0, given] != PADDING
    assert LINE_END in targets[0]


def test_a_start_in_other_words_is_refused(lines: Lines) -> None:
    with pytest.raises(ValueError, match="starts must use the lines' words; \\['zebra"):
        written_lines(LineModel(lines), lines, ["zebra"])


def test_a_later_word_changes_no_earlier_answer(lines: Lines) -> None:
    model = LineModel(lines, width=16)
    inputs = lines.inputs[:1].clone()
    changed = inputs.clone()
    changed[0, 4] = LINE_END
    torch.testing.assert_close(model(inputs)[0, :4], model(changed)[0, :4])


def test_shared_words_are_a_share_of_the_written_line(lines: Lines) -> None:
    # Without blanks, "x = x" has the pairs (start, x), (x, =), (=, x), (x, end).
    shares = shared_words(lines, ["x = x"])
    found = dict(zip(lines.texts, shares[:, 0].tolist(), strict=True))
    assert found == {"x = x": 1.0, "x = x + x": 1.0, "x = (x)": 0.5}
