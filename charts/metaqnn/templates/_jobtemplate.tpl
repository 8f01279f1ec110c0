{{/* What the chart adds to every trainer's Job; the orchestrator lays its own over it. */}}
{{- define "metaqnn.jobTemplate" -}}
{{- $own := .Values.trainer -}}
{{- $labels := dict "app.kubernetes.io/part-of" "metaqnn" "app.kubernetes.io/instance" .Release.Name }}
{{- $labels = mergeOverwrite $labels (deepCopy .Values.commonLabels) (deepCopy $own.labels) -}}
apiVersion: batch/v1
kind: Job
metadata:
  labels:
    {{- toYaml $labels | nindent 4 }}
spec:
  template:
    metadata:
      labels:
        {{- toYaml $labels | nindent 8 }}
      {{- with $own.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- range $key := list "priorityClassName" "runtimeClassName" }}
      {{- with get $own $key }}
      {{ $key }}: {{ . | quote }}
      {{- end }}
      {{- end }}
      {{- range $key := list "nodeSelector" "tolerations" "affinity" "initContainers" }}
      {{- with get $own $key }}
      {{ $key }}:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with $own.podSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: trainer
          {{- $env := list (include "metaqnn.caEnvironment" . | trim) }}
          {{- $mounts := list (include "metaqnn.caMount" . | trim) }}
          {{- $volumes := list (include "metaqnn.caVolume" . | trim) }}
          {{- if .Values.datasetCache.enabled }}
          {{- $env = append $env "- name: METAQNN_DATASET_CACHE\n  value: /var/cache/metaqnn" }}
          {{- $mounts = append $mounts "- name: datasets\n  mountPath: /var/cache/metaqnn" }}
          {{- $claim := .Values.datasetCache.existingClaim | default (printf "%s-datasets" (include "metaqnn.fullname" .)) }}
          {{- $volumes = append $volumes (printf "- name: datasets\n  persistentVolumeClaim: {claimName: %s}" $claim) }}
          {{- end }}
          {{- with $own.env }}{{ $env = append $env (toYaml .) }}{{ end }}
          {{- with $own.volumeMounts }}{{ $mounts = append $mounts (toYaml .) }}{{ end }}
          {{- with $own.volumes }}{{ $volumes = append $volumes (toYaml .) }}{{ end }}
          {{- with compact $env }}
          env:
            {{- join "\n" . | nindent 12 }}
          {{- end }}
          {{- with compact $mounts }}
          volumeMounts:
            {{- join "\n" . | nindent 12 }}
          {{- end }}
      {{- with compact $volumes }}
      volumes:
        {{- join "\n" . | nindent 8 }}
      {{- end }}
{{- end }}
