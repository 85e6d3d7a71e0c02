{{- define "priority-autoscaler.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "priority-autoscaler.fullname" -}}
{{- $name := include "priority-autoscaler.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "priority-autoscaler.serviceAccountName" -}}
{{- if .Values.rbac.serviceAccount.create -}}
{{- default (include "priority-autoscaler.fullname" .) .Values.rbac.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.rbac.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "priority-autoscaler.selectorLabels" -}}
app.kubernetes.io/name: {{ include "priority-autoscaler.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "priority-autoscaler.labels" -}}
{{ include "priority-autoscaler.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- with .Values.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "priority-autoscaler.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Whether anything is written: not in a dry run. Empty means no. */}}
{{- define "priority-autoscaler.writes" -}}
{{- $dry := index .Values.extraArgs "dry-run" -}}
{{- $bare := and (hasKey .Values.extraArgs "dry-run") (kindIs "invalid" $dry) -}}
{{- if not (or $bare (eq (toString $dry) "true")) -}}yes{{- end -}}
{{- end -}}

{{/* Name of the lease; it is cluster-autoscaler's own, so that only one of the two acts. */}}
{{- define "priority-autoscaler.leaseName" -}}
{{- default "cluster-autoscaler" (index .Values.extraArgs "leader-elect-resource-name") -}}
{{- end -}}

{{/* Name of the status ConfigMap; empty where it is not written. */}}
{{- define "priority-autoscaler.statusName" -}}
{{- if and (include "priority-autoscaler.writes" .) (ne (toString (index .Values.extraArgs "write-status-configmap")) "false") -}}
{{- default "cluster-autoscaler-status" (index .Values.extraArgs "status-config-map-name") -}}
{{- end -}}
{{- end -}}
