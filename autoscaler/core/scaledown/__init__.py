"""Which nodes go, and why the others stay.

May this pod move, is this node unneeded, can its pods go back to spot, and
how many may go at once. How a node is emptied is not decided here.
"""
