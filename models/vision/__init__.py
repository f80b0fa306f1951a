"""Small classifiers of pictures: networks, training that goes on where it stopped, files, and CIFAR-10."""
