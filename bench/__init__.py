"""Benchmarks that print a figure, its floor and the machine, and fail below the floor.

`python -m bench NAME... [--json FILE]`. Each bench is a module with `run() -> Result`,
imported only when asked for. A bench fixes its seed and says what it leaves out.
"""
