"""Tests of rewrites: each against its definition, on real tensors."""
