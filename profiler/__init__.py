"""Static FLOP and parameter profiler for PyTorch."""
