"""cluster-autoscaler's `--cloud-config`: endpoints that replace AWS's own.

Of the file only the `[ServiceOverride "n"]` sections are read; what else its
cloud provider once took from there has no meaning here.
"""

from __future__ import annotations

import configparser

from autoscaler.aws.client import AwsSettings
from autoscaler.config import Config, ConfigError

_SERVICES = ("autoscaling", "ec2", "eks")


def read_endpoints(text: str, region: str | None = None) -> dict[str, str]:
    """Return endpoint URLs by service, of sections without a region or with this one.

    Raises ValueError for a file that is no such configuration.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(" ".join(str(error).split())) from None
    found = {}
    for name in parser.sections():
        if name.split()[0] != "ServiceOverride":
            continue
        section = {key: (value or "").strip().strip('"') for key, value in parser.items(name)}
        service, url = section.get("service", "").lower(), section.get("url", "")
        if not (service and url):
            raise ValueError(f"[{name}]: Service and URL are needed")
        if service in _SERVICES and (region is None or section.get("region", region) in ("", region)):
            found[service] = url
    return found


def settings_of(config: Config) -> AwsSettings:
    """How the flags say that AWS is reached. Raises ConfigError for a cloud configuration that cannot be read."""
    path, endpoints = config.cloud_config, dict[str, str]()
    if path is not None:
        try:
            endpoints = read_endpoints(path.read_text(), config.aws_region or None)
        except (OSError, ValueError) as error:
            raise ConfigError([f"flag --cloud-config: {path}: {error}"]) from None
    return AwsSettings(region=config.aws_region or None, endpoints=endpoints)
