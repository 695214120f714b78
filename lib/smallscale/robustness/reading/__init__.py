"""Does a reader read? Questions on passages, a small reader, and adversarial sentences."""
