"""Does the widget open on a misreading, and survive its extremes?"""

import numpy as np

from smallscale.models.classifiers import small_cnn
from smallscale.notebook import explore
from smallscale.robustness.shift.corruptions import CORRUPTIONS
from smallscale.robustness.shift.explorer import corruption_explorer, corruption_scene
from tests.robustness.shift.helpers import some_images

NAMES = list(CORRUPTIONS)


def test_the_explorer_opens_on_a_misreading_answers_and_survives_its_ends() -> None:
    model = small_cnn((1, 8, 8))
    box = explore(*corruption_explorer(model, some_images(4), [0, 1, 2, 3]))
    image, name, severity, view = box.children
    assert severity.value == 3
    said = view.value
    assert "severity 3: true" in said
    assert 'role="img"' in said
    for name.value in NAMES:
        for severity.value in (0, 5):
            for image.value in (0, 3):
                assert f"true {image.value}, read as" in view.value
    severity.value = 0
    assert "Not corrupted" in view.value


def test_a_scene_says_truth_and_reading() -> None:
    said = corruption_scene(np.eye(4), np.array([0.25, 0.75]), 0, "blur", 2)
    assert "Blur, severity 2: true 0, read as 1 with probability 0.75." in said
    assert said.count("<svg") == 1
