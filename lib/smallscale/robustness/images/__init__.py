"""How little must an image change before it is read wrong? Attacks, proofs, curves."""
