"""Signed metadata after TUF (python-tuf): keys, roles, what is staged and what devices see."""
