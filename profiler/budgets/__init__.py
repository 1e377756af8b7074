"""Budgets: a profile, and what it may cost or what it cost before → findings."""
