"""Telling: one Decision, and what AWS answered, turned into words and figures.

`document` and `text` are for `simulate` and people, `events` for Kubernetes,
`lines` for the log, `numbers` and `calls` for Prometheus, `publisher` calls them
after each wave and pass. Nothing here decides, writes to an API or
reads a clock. Import the module that is needed: some must load quickly.
"""
