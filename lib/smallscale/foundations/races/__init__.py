"""Which optimizer is fastest, and how would one know? First steps, surfaces, a race."""
