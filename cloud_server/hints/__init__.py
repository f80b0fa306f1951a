"""Hints: training, scoring and storing what makes a device's perturbation transfer."""
