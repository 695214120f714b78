"""What is a contribution worth? Games, payments, and what paying does to a market."""
