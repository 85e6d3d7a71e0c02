"""Thinks, and does nothing else.

Everything here is a pure function of values: a Snapshot goes in, a Decision
with its reasons comes out. No clock, no chance, no network, no logging; only
the standard library. Whoever wants a thing done reads the Decision.
"""
