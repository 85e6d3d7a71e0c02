{{/*
Arguments of the controller. Large numbers come out of values as floats: toJson writes them as people do.
*/}}
{{- define "priority-autoscaler.arguments" -}}
{{- if not (or .Values.autoDiscovery.clusterName .Values.autoscalingGroups) -}}
{{- fail "priority-autoscaler: set autoDiscovery.clusterName or autoscalingGroups; without one no group would be managed" -}}
{{- end -}}
- run
- --cloud-provider={{ .Values.cloudProvider }}
- --namespace={{ .Release.Namespace }}
{{- range .Values.autoscalingGroups }}
- {{ printf "--nodes=%s:%s:%s" (toJson .minSize) (toJson .maxSize) .name | quote }}
{{- end }}
{{- if .Values.autoDiscovery.clusterName }}
- {{ printf "--node-group-auto-discovery=asg:tag=%s" (tpl (join "," .Values.autoDiscovery.tags) .) | quote }}
{{- end }}
{{- range $key, $value := .Values.extraArgs }}
{{- $flag := regexFind "^[^_]+" $key }}
{{- if kindIs "invalid" $value }}
- {{ printf "--%s" $flag | quote }}
{{- else if kindIs "string" $value }}
- {{ printf "--%s=%s" $flag $value | quote }}
{{- else }}
- {{ printf "--%s=%s" $flag (toJson $value) | quote }}
{{- end }}
{{- end }}
{{- range .Values.customArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "priority-autoscaler.environment" -}}
{{- if .Values.awsRegion }}
- name: AWS_REGION
  value: {{ .Values.awsRegion | quote }}
{{- end }}
{{- range $name, $value := .Values.extraEnv }}
- name: {{ $name }}
  value: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ toJson $value | quote }}{{ end }}
{{- end }}
{{- range $name, $source := .Values.extraEnvConfigMaps }}
- name: {{ $name }}
  valueFrom:
    configMapKeyRef:
      name: {{ $source.name }}
      key: {{ $source.key }}
{{- end }}
{{- range $name, $source := .Values.extraEnvSecrets }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $source.name }}
      key: {{ $source.key }}
{{- end }}
{{- end -}}
