{{- define "callgate.name" -}}
{{- if contains "callgate" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-callgate" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "callgate.selector" -}}
app.kubernetes.io/name: callgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "callgate.labels" -}}
{{ include "callgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "callgate.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "callgate.policies" -}}
{{- range $folder := list "guardrails" "approvals" "permits" "cases" }}
{{- range $file, $text := index $.Values.policies $folder }}
{{ printf "%s.%s" $folder $file }}: |
{{ $text | indent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "callgate.dns" -}}
- ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end }}
