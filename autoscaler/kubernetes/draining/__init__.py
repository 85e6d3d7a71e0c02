"""Draining: a node chosen to go is marked, emptied through the Eviction API, and handed over to be terminated.

Whether it should go is `core/scaledown`'s question, ending the instance is AWS's.
Every step can be killed: what stands on the node tells a successor enough to
finish or to undo it.
"""
