"""Auto Scaling groups and EC2: seen as core values, and acted upon.

Reading, without any SDK: `convert` (with `shapes`, `tags`, `nodegroups`,
`templates`, `known`, `fields`), `instance_types`, `requirements`, `discovery`,
`offline`. Talking: `client`, behind a `gate` per kind of call. Watching:
`groups`, `facts`, `activities`. Acting: `launch`, `sizes`, `terminate`,
`protect`. What an error means: `refusals`, `answers`. Nothing is decided here.
"""
