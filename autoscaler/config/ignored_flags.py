"""Flags that old manifests hold and that mean nothing here.

They are accepted and named in one warning. `True` marks a switch, which takes
no value of its own. Renamed flags keep their meaning under the newer name.
"""

from collections.abc import Mapping

RENAMED: Mapping[str, str] = {
    "ignore-taint": "startup-taint",
    "max-empty-bulk-delete": "max-scale-down-parallelism",
}

_SWITCHES = """
add-dir-header alsologtostderr async-node-groups bulk-mig-instances-listing-enabled capacity-buffer-controller-enabled
capacity-buffer-pod-dry-run-enabled capacity-buffer-pod-injection-enabled capacity-quotas-enabled
check-capacity-batch-processing
clusterapi-cloud-config-authoritative debugging-snapshot-enabled dynamic-node-delete-delay-after-taint-enabled
enable-csi-node-aware-scheduling enable-dynamic-resource-allocation enable-graceful-degradation
enable-inter-pod-affinity-hostname-fast-path enable-proactive-scaleup enable-provisioning-requests
enforce-node-group-min-size fastpath-binpacking-enabled force-delete-failed-nodes force-delete-unregistered-nodes
frequent-loops-enabled gce-expander-ephemeral-storage-support log-json-split-stream log-text-split-stream logtostderr
max-node-skip-eval-time-tracker-enabled node-autoprovisioning-enabled node-removal-latency-tracking-enabled one-output
parallel-drain parallel-scale-up profiling regional salvo-scale-up scaleup-simulation-for-skipped-node-groups-enabled
scale-from-unschedulable scale-up-from-zero skip-headers skip-log-headers
"""
_WITH_VALUE = """
check-capacity-processor-instance check-capacity-provisioning-request-batch-timebox
check-capacity-provisioning-request-max-batch-size cloud-provider-gce-l7lb-src-cidrs
cloud-provider-gce-lb-src-cidrs cluster-name cluster-snapshot-parallelism estimator feature-gates
gce-concurrent-refreshes gce-mig-instances-min-refresh-wait-time gpu-total grpc-expander-cert grpc-expander-url
kube-api-content-type leader-elect-resource-namespace log-backtrace-at log-dir log-file log-file-max-size
log-flush-frequency log-json-info-buffer-size log-text-info-buffer-size max-allocatable-difference-ratio
max-autoprovisioned-node-group-count max-binpacking-time max-free-difference-ratio max-nodegroup-binpacking-duration
memory-difference-ratio node-deletion-batcher-interval node-info-cache-expire-time pending-pods-batching-timeout
pod-injection-limit predicate-parallelism provisioning-request-initial-backoff-time
provisioning-request-max-backoff-cache-size provisioning-request-max-backoff-time salvo-scale-up-budget
scale-down-candidates-pool-min-count scale-down-candidates-pool-ratio scale-down-non-empty-candidates-count
scheduler-verbosity stderrthreshold user-agent vmodule
"""
IGNORED: Mapping[str, bool] = dict.fromkeys(_SWITCHES.split(), True) | dict.fromkeys(_WITH_VALUE.split(), False)
