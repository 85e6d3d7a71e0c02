"""A ServiceAccount with exactly the permissions that a test names, and its kubeconfig."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.controlplane.authority import write_kubeconfig
from tests.controlplane.client import Json, Refused, wait_for
from tests.controlplane.cluster import NAMESPACE, Cluster

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ACCOUNTS = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
READ = ("get", "list", "watch")


def rule(group: str, *resources: str, verbs: Sequence[str] = READ) -> Json:
    """One rule of a ClusterRole; reading unless said otherwise."""
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


@dataclass(frozen=True)
class Account:
    """A ServiceAccount in our namespace."""

    cluster: Cluster
    name: str

    @classmethod
    @contextmanager
    def made(cls, cluster: Cluster, name: str, rules: Sequence[Json]) -> Iterator[Account]:
        """An account with these permissions for the length of the block."""
        account = cls(cluster, name)
        role = f"{NAMESPACE}-{name}"
        client = cluster.client
        client.create(_ACCOUNTS, {"metadata": {"name": name}})
        client.create(f"{_RBAC}/clusterroles", {"metadata": {"name": role}, "rules": list(rules)})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}]
        binding = {"metadata": {"name": role}, "roleRef": reference, "subjects": subjects}
        client.create(f"{_RBAC}/clusterrolebindings", binding)
        try:
            account.wait_permitted(rules[0])
            yield account
        finally:
            client.delete(f"{_RBAC}/clusterrolebindings/{role}")
            client.delete(f"{_RBAC}/clusterroles/{role}")
            client.delete(f"{_ACCOUNTS}/{name}")

    def permit(self, rules: Sequence[Json]) -> None:
        """Replace the permissions."""
        self.cluster.client.patch(f"{_RBAC}/clusterroles/{NAMESPACE}-{self.name}", {"rules": list(rules)})

    def write_kubeconfig(self, path: Path) -> Path:
        """Write one with a fresh token."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        token = self.cluster.client.create(f"{_ACCOUNTS}/{self.name}/token", body)["status"]["token"]
        known = yaml.safe_load(self.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
        return write_kubeconfig(path, known["server"], known["certificate-authority-data"], {"token": token})

    def wait_permitted(self, sample: Json) -> None:
        """The authoriser learns of new roles by a watch."""
        attributes = {"verb": sample["verbs"][0], "group": sample["apiGroups"][0], "resource": sample["resources"][0]}
        user = f"system:serviceaccount:{NAMESPACE}:{self.name}"
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }

        def is_permitted() -> bool:
            try:
                found = self.cluster.client.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
            except Refused:
                return False
            return bool(found["status"]["allowed"])

        wait_for(is_permitted, f"the permissions of {self.name}")
