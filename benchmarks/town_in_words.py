"""What does SmolLM2 say in the town of words? Writes the notebook's recorded answers.

python benchmarks/town_in_words.py [SEED …]: two days of each town, the interviews, the
injection, the prompts with a part taken away and how these are judged, added to
data/language_model. What is recorded already is not asked again. Prints the minutes,
and who heard and came.
"""

import sys
import time

from smallscale.models import RecordedModel
from smallscale.simulation import measures as numbers
from smallscale.simulation.words import believability, measures
from smallscale.simulation.words.interviews import interviews
from smallscale.simulation.words.speakers import RECORDED, RecordedSpeaker
from smallscale.simulation.words.town import WordTown


def record(seed: int, *, parts: bool) -> WordTown:
    """Live one town and ask what the notebook asks. parts: of its first town only."""
    speaker = RecordedSpeaker(RecordedModel(RECORDED, record=True))
    town = WordTown(seed=seed, speaker=speaker).run(measures.HOURS)
    people = [person.name for person in town.world.people]
    why = "Why did you not come to the party?"
    for question in (*measures.QUESTIONS.values(), why):
        interviews(town, people, question)
    if parts:
        for said in (measures.INJECTION, measures.HARMLESS):
            measures.injected(town, said)
        step = max(1, len(town.utterances) // measures.MOMENTS)
        moments = town.utterances[::step][: measures.MOMENTS]
        whole = measures.reworded(town, moments)
        pairs = {
            part: believability.utterance_pairs(
                town, moments, whole, measures.reworded(town, moments, without=part)
            )
            for part in measures.PARTS
        }
        scrambled = believability.scrambled_pairs(pairs["memory"], seed=seed)
        judged = {**pairs, "scrambled": scrambled}
        print(believability.verdict_table(speaker.model, judged).to_string())
    return town


def main(seeds: list[int]) -> None:
    """Record these towns, and print a line for each."""
    for seed in seeds:
        started = time.perf_counter()
        town = record(seed, parts=seed == seeds[0])
        minutes = (time.perf_counter() - started) / 60
        heard = [numbers.hearers(town, fact) for fact in ("candidacy", "party")]
        came = numbers.guests(town, "party")
        print(f"seed {seed}: {minutes:.1f} minutes, heard {heard}, came {came}")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [0, 1, 2])
