"""Sizes that are expressions of names, the formulas they make, and the conditions under which these hold."""
