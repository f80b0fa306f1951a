"""The solver report: how well programs read the challenges, with and without the attack."""
