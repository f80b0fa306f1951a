"""Students: small recognisers with the input gradients of a recogniser that stays in the cloud."""
