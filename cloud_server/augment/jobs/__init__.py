"""Jobs of augmentation as a service keeps them: owners, queue, workers, results."""
