"""A world on loopback: AWS with capacity pools, a Kubernetes API, and stories played on them.

For the demo, the tests and the benches: real HTTP, no account, no Docker. Only
`cli` knows this package; nothing here is part of the controller. `aws` and
`kubernetes` are separate worlds, joined by what starts them both.
"""
