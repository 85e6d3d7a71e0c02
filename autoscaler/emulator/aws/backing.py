"""moto behind our world: launch templates, subnets, instance types, all other services.

Everything that our own code does not answer goes to moto's server application.
Imported lazily (about a second); each emulator has an account of its own, so
that several can live in one process. moto is not safe for threads: one lock.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.emulator.aws.model import AwsFault, invalid

_accounts = itertools.count(111_122_223_333)


@dataclass(frozen=True, slots=True)
class Template:
    """One version of a launch template, found."""

    id: str
    name: str
    version: int
    data: Mapping[str, Any]


class Backing:
    """moto, as one account in one region sees it."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.account = str(next(_accounts))
        self._lock = threading.RLock()
        self._application: Any = None
        self._zone_ids: dict[str, str] = {}

    def load(self) -> None:
        """Import what most calls need, so that no call has to wait for it."""
        with self._lock:
            self.default_subnets()
            _ = self._app

    @property
    def _app(self) -> Any:
        if self._application is None:
            from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

            self._application = DomainDispatcherApplication(create_backend_app)
        return self._application

    @property
    def _ec2(self) -> Any:
        from moto.ec2.models import ec2_backends

        return ec2_backends[self.account][self.region]

    def serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Let moto answer a request, as this emulator's account."""
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self.account
        with self._lock:
            return [b"".join(self._app(environ, start_response))]

    def default_subnets(self) -> dict[str, str]:
        """The default subnet of every zone."""
        with self._lock:
            return {zone: subnet.id for zone, subnet in sorted(self._ec2.get_default_subnets().items())}

    def zone_ids(self) -> Mapping[str, str]:
        """The id of every zone of the region."""
        if not self._zone_ids:
            self._zone_ids = {zone.name: zone.zone_id for zone in self._ec2.zones[self.region]}
        return self._zone_ids

    def zone_of_subnet(self, subnet_id: str) -> str:
        with self._lock:
            for subnet in self._ec2.describe_subnets():
                if subnet.id == subnet_id:
                    return str(subnet.availability_zone)
        raise invalid(f"The subnet ID '{subnet_id}' does not exist")

    def create_template(self, name: str, data: Mapping[str, Any]) -> None:
        """CreateLaunchTemplate, without the detour over HTTP."""
        with self._lock:
            self._ec2.create_launch_template(name, "", dict(data), {})

    def template(self, specification: Mapping[str, str]) -> Template | None:
        """The launch template version that a group names; None when it does not exist."""
        with self._lock:
            backend = self._ec2
            by_name = backend.launch_template_name_to_ids.get(specification.get("LaunchTemplateName", ""))
            found = backend.launch_templates.get(specification.get("LaunchTemplateId") or by_name)
            if found is None:
                return None
            wanted = specification.get("Version") or "$Default"
            number = {"$Default": found.default_version_number, "$Latest": found.latest_version_number}.get(wanted)
            for version in found.versions:
                if str(version.number) == str(number or wanted):
                    return Template(found.id, found.name, version.number, version.data)
            return None

    def launch_configuration(self, name: str) -> tuple[str, bool] | None:
        """Instance type of a launch configuration, and whether it bids for spot; None when it is gone."""
        from moto.autoscaling.models import autoscaling_backends

        with self._lock:
            known = autoscaling_backends[self.account][self.region].launch_configurations
            if name not in known:
                return None
            return str(known[name].instance_type), bool(known[name].spot_price)

    def reset(self) -> None:
        """Forget the account; the next call starts with a fresh one."""
        with self._lock:
            self.account = str(next(_accounts))


def instance_types() -> Mapping[str, dict[str, Any]]:
    """DescribeInstanceTypes data of every type, as recorded from AWS by moto."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    types: Mapping[str, dict[str, Any]] = INSTANCE_TYPES
    return types


def require_template(backing: Backing, specification: Mapping[str, str]) -> Template:
    """The template, or the error of a call that names one which does not exist."""
    found = backing.template(specification)
    if found is None:
        named = specification.get("LaunchTemplateId") or specification.get("LaunchTemplateName") or ""
        raise AwsFault(
            "ValidationError",
            f"You must use a valid fully-formed launch template. The specified launch template, {named}, "
            f"with version {specification.get('Version', '$Default')}, does not exist",
        )
    return found
