"""Tables that set several profiles against each other."""
