"""What the push benchmarks share: servers to measure, clients to load them, and the measure."""
