"""Which training points made this prediction? Scores, and the truth by training again."""
