"""Tables that compare profiles."""
