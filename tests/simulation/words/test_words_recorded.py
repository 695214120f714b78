"""What SmolLM2 was recorded to say makes the town again, without the model."""

from typing import Any

import pytest

from smallscale.models import ModelMissing, RecordedModel, recorded
from smallscale.simulation.words import measures
from smallscale.simulation.words.interviews import interviews
from smallscale.simulation.words.speakers import RECORDED, RecordedSpeaker
from smallscale.simulation.words.town import WordTown

pytestmark = pytest.mark.skipif(
    not RECORDED.is_file(), reason="the recorded answers are not in this checkout"
)


@pytest.fixture(scope="module")
def lived() -> WordTown:
    def gone(name: str) -> Any:
        raise ModelMissing("it is not here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "language_model", gone)
        speaker = RecordedSpeaker(RecordedModel(RECORDED))
        town = WordTown(seed=0, speaker=speaker).run(measures.HOURS)
        people = [person.name for person in town.world.people]
        for question in measures.QUESTIONS.values():
            interviews(town, people, question)
    assert speaker.model.asked == 0
    return town


@pytest.mark.filterwarnings("ignore:.* could not be used")
def test_the_recorded_town_replays_without_the_model(lived: WordTown) -> None:
    assert len(lived.utterances) > 100
    for fact in measures.QUESTIONS:
        assert measures.audit(lived, fact)["proved"].all()


@pytest.mark.filterwarnings("ignore:.* could not be used")
def test_it_is_the_same_town_each_time(lived: WordTown) -> None:
    half = WordTown(seed=0, speaker=lived.speaker).run(20)
    assert half.run(measures.HOURS - 20).digest() == lived.digest()
