"""Auto Scaling groups and EC2: seen as core values, and acted upon.

`client` talks, `convert` and `instance_types` read (and need no SDK), `groups`
watches, `launch`, `activities`, `terminate` and `protect` act, `refusals`
classifies. No decision is made here.
"""
