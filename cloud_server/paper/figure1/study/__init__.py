"""The kit of the study with people: stimuli, page, key, analysis."""
