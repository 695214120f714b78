"""Does a reader read? SQuAD's scores, a small reader, and sentences that mislead it."""
