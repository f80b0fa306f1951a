"""Bundles: building them from the zoo and the hints, and reading published ones."""
