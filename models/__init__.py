"""The zoo: cards, fetching, importers, and gradient graphs made from forward graphs."""
