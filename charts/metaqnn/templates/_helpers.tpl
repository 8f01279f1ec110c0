{{/* Names, labels, addresses: what several objects must agree on. */}}

{{- define "metaqnn.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains "metaqnn" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-metaqnn" (.Release.Name | trunc 32 | trimSuffix "-") }}
{{- end }}
{{- end }}

{{/* Labels of an object: (dict "root" $ "component" "…"). */}}
{{- define "metaqnn.labels" -}}
{{- $own := include "metaqnn.podLabels" . | fromYaml }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") }}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- mergeOverwrite (deepCopy .root.Values.commonLabels) $own | toYaml }}
{{- end }}

{{/* Those that do not change with the version, and by which things are selected. */}}
{{- define "metaqnn.podLabels" -}}
app.kubernetes.io/name: metaqnn
app.kubernetes.io/part-of: metaqnn
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Metadata of an object: (dict "root" $ "component" "…" "suffix" "-…"). */}}
{{- define "metaqnn.metadata" -}}
name: {{ include "metaqnn.fullname" .root }}{{ .suffix | default "" }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "metaqnn.labels" . | nindent 2 }}
{{- end }}

{{/* Before anything is rendered: what a null took away, a section or a value, gets its default again. */}}
{{- define "metaqnn.prepare" -}}
{{- include "metaqnn.fill" (dict "into" .Values "from" (include "metaqnn.defaults" . | fromYaml)) }}
{{- end }}

{{- define "metaqnn.fill" -}}
{{- range $key, $value := .from }}
{{- if kindIs "invalid" (index $.into $key) }}
{{- $_ := set $.into $key $value }}
{{- else if kindIs "map" $value }}
{{- include "metaqnn.fill" (dict "into" (index $.into $key) "from" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{/* An image: (dict "image" .Values.….image "root" $). */}}
{{- define "metaqnn.image" -}}
{{- $repository := .image.repository }}
{{- with .root.Values.global.imageRegistry }}
{{- $parts := splitList "/" $repository }}
{{- if and (gt (len $parts) 1) (regexMatch "[.:]|^localhost$" (first $parts)) }}{{ $parts = rest $parts }}{{ end }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (join "/" $parts) }}
{{- end }}
{{- if .image.digest }}{{ $repository }}@{{ .image.digest }}
{{- else }}{{ $repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "metaqnn.trainerAccount" -}}
{{- with .Values.trainer.serviceAccount }}{{ .name | default (printf "%s-trainer" (include "metaqnn.fullname" $)) }}{{ end }}
{{- end }}

{{- define "metaqnn.orchestratorAccount" -}}
{{- with .Values.orchestrator.serviceAccount }}{{ .name | default (printf "%s-orchestrator" (include "metaqnn.fullname" $)) }}{{ end }}
{{- end }}

{{- define "metaqnn.dashboardAccount" -}}
{{- with .Values.dashboard.serviceAccount }}{{ .name | default (printf "%s-web" (include "metaqnn.fullname" $)) }}{{ end }}
{{- end }}

{{- define "metaqnn.bucket" -}}
{{- .Values.store.bucket | default (ternary "metaqnn" "" .Values.seaweedfs.enabled) }}
{{- end }}

{{/* URI of the store; empty without a bucket. */}}
{{- define "metaqnn.store" -}}
{{- with include "metaqnn.bucket" . }}{{ printf "s3://%s/%s" . (trimAll "/" $.Values.store.prefix) | trimSuffix "/" }}{{ end }}
{{- end }}

{{- define "metaqnn.endpoint" -}}
{{- if .Values.seaweedfs.enabled }}http://{{ include "metaqnn.fullname" . }}-seaweedfs.{{ .Release.Namespace }}.svc:8333
{{- else }}{{ .Values.store.endpoint }}
{{- end }}
{{- end }}

{{- define "metaqnn.secret" -}}
{{- .Values.store.existingSecret.name }}
{{- end }}

{{/* The environment by which a container that is not the trainer's finds the store. The trainer's comes from settings. */}}
{{- define "metaqnn.storeEnvironment" -}}
{{- with include "metaqnn.endpoint" . }}
- name: AWS_ENDPOINT_URL_S3
  value: {{ . | quote }}
{{- end }}
{{- with .Values.store.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.store }}
{{- if ne .addressingStyle "auto" }}
- name: METAQNN_S3_ADDRESSING_STYLE
  value: {{ .addressingStyle | quote }}
{{- end }}
{{- if ne .checksums "auto" }}
{{- range list "AWS_REQUEST_CHECKSUM_CALCULATION" "AWS_RESPONSE_CHECKSUM_VALIDATION" }}
- name: {{ . }}
  value: {{ $.Values.store.checksums | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- $keys := .Values.store.existingSecret }}
{{- with include "metaqnn.secret" . }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $keys.accessKeyIdKey | quote }}}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $keys.secretAccessKeyKey | quote }}}}
- name: AWS_SESSION_TOKEN
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $keys.sessionTokenKey | quote }}, optional: true}}
{{- end }}
{{- end }}

{{- define "metaqnn.caEnvironment" -}}
{{- with .Values.store.caBundle }}
{{- if or .configMap .secret }}
- name: AWS_CA_BUNDLE
  value: /etc/metaqnn/ca/{{ .key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "metaqnn.caMount" -}}
{{- with .Values.store.caBundle }}
{{- if or .configMap .secret }}
- name: ca
  mountPath: /etc/metaqnn/ca
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- define "metaqnn.caVolume" -}}
{{- with .Values.store.caBundle }}
{{- if .configMap }}
- name: ca
  configMap: {name: {{ .configMap | quote }}}
{{- else if .secret }}
- name: ca
  secret: {secretName: {{ .secret | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* What the restricted Pod security asks of a container. */}}
{{- define "metaqnn.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
