"""How close was the guess? The check of an exercise whose answer is measured in the run."""


def check_guess(guess: float | None, measured: float, *, within: float, low: str, high: str) -> str:
    """Compare a guess with what was measured; `low` and `high` say what a guess too low or too high overlooks."""
    if guess is None:
        return "Not answered yet."
    if abs(guess - measured) <= within:
        return f"Right: measured was {measured:.2f}."
    return f"Measured was {measured:.2f}, not {guess:.2f}. {low if guess < measured else high}"
