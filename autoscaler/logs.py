"""Logs: constant events with keys, one line each on standard error.

Set up once, by the command line, before anything is told; until then structlog's
own defaults hold. What libraries say through the standard module comes out in
the same form, warnings and worse. Credentials never leave: keys that name one
and texts that carry one are blanked, whoever logged them.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Literal

import msgspec
import structlog

from autoscaler import clock

DEBUG_VERBOSITY = 4  # klog's level at which each step is told
_REDACTED = "(redacted)"
_SECRET_KEY = re.compile(
    r"(?i)authorization|credential|passw|bearer|private_?key|secret_?(access_?)?key|(session|access|id)_?token"
)
_SECRET_TEXT = re.compile(
    r"(?P<scheme>(?i:bearer|basic) +)[^\s,;\"']+"
    r"|(?P<query>X-Amz-(?:Credential|Security-Token|Signature)=)[^\s&\"']+"
    r"|(?P<address>://)[^\s/@:]*:[^\s/@]+(?=@)"
)

Event = MutableMapping[str, Any]


def configure(layout: Literal["text", "json"], verbosity: int) -> None:
    """Send every event of this process to standard error; `verbosity` is klog's `-v`."""
    level = logging.DEBUG if verbosity >= DEBUG_VERBOSITY else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _stamp,
            structlog.processors.format_exc_info,
            redact,
            _to_json if layout == "json" else _to_text,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(capture=True)
    logging.basicConfig(level=logging.WARNING, handlers=[_Libraries()], force=True)


def redact(_logger: object, _method: str, event: Event) -> Event:
    """Blank what is a credential by its key or by its shape, however deep it lies."""
    return {key: _blank(key, value) for key, value in event.items()}


def _blank(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key):
        return _REDACTED
    if isinstance(value, str):
        return _SECRET_TEXT.sub(lambda found: f"{found[found.lastgroup or 0]}{_REDACTED}", value)
    if isinstance(value, Mapping):
        return {inner: _blank(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_blank("", item) for item in value]
    return value


def _stamp(_logger: object, _method: str, event: Event) -> Event:
    time = clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": time, "level": event["level"], "event": event["event"], **event}


_encode: Callable[[object], bytes] = msgspec.json.Encoder(enc_hook=str).encode


def _to_json(_logger: object, _method: str, event: Event) -> bytes:
    return _encode(event)


_logfmt = structlog.processors.LogfmtRenderer(bool_as_flag=False)


def _to_text(logger: Any, method: str, event: Event) -> bytes:
    return _logfmt(logger, method, event).encode()


class _Libraries(logging.Handler):
    """Carries the standard module's records over into events."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(
            record.levelno, "library.spoke", library=record.name, message=record.getMessage(), exc_info=record.exc_info
        )
