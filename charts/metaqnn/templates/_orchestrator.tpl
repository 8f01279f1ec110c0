{{/* The Pod of an orchestrator, complete but for its arguments: for searches of the release, and for the test. */}}
{{- define "metaqnn.orchestratorPod" -}}
{{- $pod := include "metaqnn.orchestratorForm" . | fromYaml }}
{{- $container := first $pod.containers }}
{{- $_ := set $pod "serviceAccountName" (include "metaqnn.orchestratorAccount" .) }}
{{- $_ := set $container "image" (include "metaqnn.image" (dict "image" .Values.orchestrator.image "root" .)) }}
{{- $_ := set $container "imagePullPolicy" .Values.orchestrator.image.pullPolicy }}
{{- $found := list (dict "name" "METAQNN_RELEASE" "value" (include "metaqnn.fullname" .)) }}
{{- $_ := set $container "env" (concat $found (include "metaqnn.storeEnvironment" . | fromYamlArray) $container.env) }}
{{- toYaml $pod }}
{{- end }}

{{/* The same without what the release's entries say: image, account, store. `metaqnn-orch submit` adds them, so that an
entry that was changed is changed for its searches, too. */}}
{{- define "metaqnn.orchestratorForm" -}}
{{- $own := .Values.orchestrator -}}
restartPolicy: Never
automountServiceAccountToken: true
enableServiceLinks: false
terminationGracePeriodSeconds: 60
securityContext:
  {{- $ids := dict "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 }}
  {{- $floor := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") }}
  {{- mergeOverwrite $ids $own.podSecurityContext $floor | toYaml | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: orchestrator
    env:
      - name: HOME
        value: /tmp
      {{- if .Values.metrics.enabled }}
      - name: METAQNN_METRICS_PORT
        value: {{ .Values.metrics.port | int | quote }}
      {{- end }}
      {{- if $own.liveness.enabled }}
      - name: METAQNN_HEALTH_PORT
        value: {{ $own.liveness.port | int | quote }}
      {{- end }}
      {{- with include "metaqnn.caEnvironment" . | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with $own.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- if or .Values.metrics.enabled $own.liveness.enabled }}
    ports:
      {{- if .Values.metrics.enabled }}
      - name: metrics
        containerPort: {{ .Values.metrics.port | int }}
      {{- end }}
      {{- if $own.liveness.enabled }}
      - name: health
        containerPort: {{ $own.liveness.port | int }}
      {{- end }}
    {{- end }}
    {{- if $own.liveness.enabled }}
    livenessProbe:
      httpGet: {path: /healthz, port: health}
      initialDelaySeconds: 60
      periodSeconds: 60
      timeoutSeconds: 20
      failureThreshold: 5
    {{- end }}
    resources:
      {{- toYaml $own.resources | nindent 6 }}
    securityContext:
      {{- include "metaqnn.containerSecurity" . | nindent 6 }}
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      - name: settings
        mountPath: /etc/metaqnn/run
        readOnly: true
      {{- with include "metaqnn.caMount" . | trim }}
      {{- . | nindent 6 }}
      {{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: {{ $own.temporarySize | quote }}}
  # The Pod's own annotations as files: a search brings its settings with it, and no object of theirs is left behind.
  - name: settings
    downwardAPI:
      items:
        - path: settings.yaml
          fieldRef: {fieldPath: "metadata.annotations['metaqnn/settings']"}
        - path: job-template.yaml
          fieldRef: {fieldPath: "metadata.annotations['metaqnn/job-template']"}
  {{- with include "metaqnn.caVolume" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* A Job of it: (dict "root" $ "pod" "…" "annotations" (dict …) "args" (list …)). */}}
{{- define "metaqnn.orchestratorJobSpec" -}}
# A store or an API that is out of reach for longer than the orchestrator waits: another Pod tries again. What the
# cluster itself interrupted is free, and an answer (0 to 4) is final.
backoffLimit: 10
podReplacementPolicy: Failed
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
    - action: FailJob
      onExitCodes: {containerName: orchestrator, operator: In, values: [1, 2, 3, 4]}
      onPodConditions: []
ttlSecondsAfterFinished: 604800
template:
  metadata:
    labels:
      {{- $own := include "metaqnn.podLabels" (dict "root" .root "component" "orchestrator") | fromYaml }}
      {{- mergeOverwrite (deepCopy .root.Values.orchestrator.podLabels) $own | toYaml | nindent 6 }}
    {{- with mergeOverwrite (deepCopy .root.Values.orchestrator.podAnnotations) .annotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    {{- $pod := include .pod .root | fromYaml }}
    {{- with .args }}
    {{- $_ := set (first $pod.containers) "args" . }}
    {{- end }}
    {{- toYaml $pod | nindent 4 }}
{{- end }}
