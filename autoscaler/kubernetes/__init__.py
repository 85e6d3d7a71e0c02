"""The cluster: read by watch caches, converted to core values, acted upon.

What an object means is decided in `core`; only how it looks on the wire, and
how it gets here and back, lives in this package.
"""
