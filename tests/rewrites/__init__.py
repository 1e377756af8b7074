"""Rewrites: each against its definition, on real tensors."""
