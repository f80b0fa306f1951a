"""The attack core: one loop, its parts, the table of attacks. Arithmetic only, on NumPy or torch arrays."""
