{{/*
Alerts on what a person must look at. A dry pool is none: falling through it is the daily work.
Figures of standbys are 0 or missing, hence the max over the pods.
*/}}
{{- define "priority-autoscaler.alerts" -}}
{{- $from := printf "namespace=%q,job=%q" .Release.Namespace (include "priority-autoscaler.fullname" .) -}}
- alert: PriorityAutoscalerDown
  expr: absent(priority_autoscaler_build_info{ {{- $from -}} })
  for: 5m
  labels:
    severity: critical
  annotations:
    summary: "No pod of the autoscaler is scraped; nothing grows."
- alert: PriorityAutoscalerBlind
  expr: max(cluster_autoscaler_cluster_safe_to_autoscale{ {{- $from -}} }) < 1
  for: 10m
  labels:
    severity: critical
  annotations:
    summary: "The autoscaler cannot see the cluster or AWS whole, or does not lead; it does not act. /readyz of the pods names the reasons."
- alert: PriorityAutoscalerPassesFail
  expr: sum by (type) (increase(cluster_autoscaler_errors_total{ {{- $from -}} }[10m])) > 5
  for: 10m
  labels:
    severity: warning
  annotations:
    summary: {{ "Passes keep failing ({{ $labels.type }}); the log says pass.failed." | quote }}
- alert: PriorityAutoscalerPodsWait
  expr: max(priority_autoscaler_pods{ {{- $from }},outcome=~"waiting|unschedulable"}) > 0
  for: 15m
  labels:
    severity: warning
  annotations:
    summary: "Pods have waited for 15 minutes for a node that no group can give; their NotTriggerScaleUp events say why."
- alert: PriorityAutoscalerLaunchMisconfigured
  expr: sum by (node_group) (increase(priority_autoscaler_launch_calls_total{ {{- $from }},error="Configuration"}[15m])) > 0
  labels:
    severity: warning
  annotations:
    summary: {{ "AWS refuses launches of {{ $labels.node_group }} for its configuration: a bad template or a missing permission." | quote }}
- alert: PriorityAutoscalerInstancesWithoutNode
  expr: sum(increase(cluster_autoscaler_old_unregistered_nodes_removed_count{ {{- $from -}} }[1h])) > 0
  labels:
    severity: warning
  annotations:
    summary: "Instances were launched that never became Nodes, and were terminated; look at the console output of one."
- alert: PriorityAutoscalerConfigurationIgnored
  expr: sum by (kind) (increase(priority_autoscaler_config_faults_total{ {{- $from -}} }[15m])) > 0
  labels:
    severity: warning
  annotations:
    summary: {{ "Configuration of kind {{ $labels.kind }} cannot be used; the last good one stays." | quote }}
{{- end -}}
