"""The paper's face tables made again: white-box attacks (table 1), makeup and attacks (table 2)."""
