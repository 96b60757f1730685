"""The engines of a cluster as processes of our own, from their wheels: for tests, benchmarks, faults and the demo."""
