"""Other counters of memory and bytes on the same networks."""
