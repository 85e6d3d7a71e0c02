"""May this pod run on that node, and how many nodes do these pods need?

The answers follow kube-scheduler's filters. Which group is asked for the
nodes is not decided here but in `scaleup`.
"""
