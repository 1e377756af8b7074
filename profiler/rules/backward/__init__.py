"""The gradients: one module a family, with the name of the family's own."""
