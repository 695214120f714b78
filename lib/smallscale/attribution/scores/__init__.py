"""Which training points made a prediction? Scores, and the truth by training again."""
