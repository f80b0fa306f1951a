"""Commands of a job's owner."""
