"""How much do developers disclose? The Foundation Model Transparency Index."""
