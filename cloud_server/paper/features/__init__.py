"""Section 3.3 of the paper: what perturbations teach a network. Figure 3, observation II, table 3."""
