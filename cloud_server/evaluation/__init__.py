"""Measuring what the product promises: protection on recognisers, and what each wire level leaks."""
