"""What is measured, one file each: its name is the name of the row, and ``ROW`` in it says how it is measured."""
