"""Figure 1 of the paper: how recognisers, and what stands for people, bear two kinds of distortion."""
