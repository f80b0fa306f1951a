"""The adversarial Turing test: challenges that people read and solvers do not, as a service."""
