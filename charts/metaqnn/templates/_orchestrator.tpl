{{/* The Pod of an orchestrator, without arguments: searches of the release, those of `metaqnn-orch submit`, the test. */}}
{{- define "metaqnn.orchestratorPod" -}}
{{- $own := .Values.orchestrator -}}
restartPolicy: Never
serviceAccountName: {{ include "metaqnn.orchestratorAccount" . }}
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
    image: {{ include "metaqnn.image" (dict "image" $own.image "root" .) | quote }}
    imagePullPolicy: {{ $own.image.pullPolicy }}
    env:
      - name: HOME
        value: /tmp
      - name: METAQNN_RELEASE
        value: {{ .Release.Name | quote }}
      {{- if .Values.metrics.enabled }}
      - name: METAQNN_METRICS_PORT
        value: {{ .Values.metrics.port | int | quote }}
      {{- end }}
      {{- with include "metaqnn.storeEnvironment" . | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with $own.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- if .Values.metrics.enabled }}
    ports:
      - name: metrics
        containerPort: {{ .Values.metrics.port | int }}
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
    emptyDir: {}
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

{{/* A Job of it: (dict "root" $ "annotations" (dict …) "args" (list …)). */}}
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
    {{- $pod := include "metaqnn.orchestratorPod" .root | fromYaml }}
    {{- with .args }}
    {{- $_ := set (first $pod.containers) "args" . }}
    {{- end }}
    {{- toYaml $pod | nindent 4 }}
{{- end }}
