"""Protection on pairs of photos: rows of attacks, conditions, recognisers with their roles, intervals."""
