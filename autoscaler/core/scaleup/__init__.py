"""Which offering is asked for how many nodes, and what a refusal teaches.

Whether a pod fits a node is `scheduling`'s question; carrying a launch out is
the business of `autoscaler.aws`.
"""
