{{/* Values that contradict each other, each with the sentence that stops the rendering. */}}
{{- define "metaqnn.refusals" -}}
{{- $v := .Values }}
{{- if and $v.store.cloudIdentity $v.store.existingSecret.name }}
{{- fail "store.cloudIdentity and store.existingSecret.name: the Pods open the store with their own identity or with a secret's keys, not both; unset one" }}
{{- end }}
{{- if and $v.store.caBundle.configMap $v.store.caBundle.secret }}
{{- fail "store.caBundle.configMap and store.caBundle.secret: the certificates come from one of them; unset the other" }}
{{- end }}
{{- if $v.seaweedfs.enabled }}
{{- range $key, $value := dict "store.endpoint" $v.store.endpoint "store.cloudIdentity" $v.store.cloudIdentity }}
{{- if $value }}
{{- fail (printf "seaweedfs.enabled brings its own store, but %s names another; unset one" $key) }}
{{- end }}
{{- end }}
{{- if not $v.store.existingSecret.name }}
{{- $before := printf "%s-seaweedfs" (include "metaqnn.fullname" .) }}
{{- fail (printf "seaweedfs.enabled: store.existingSecret.name must name a secret with the store's keys, which you make up: kubectl create secret generic store-keys --namespace %s --from-literal=%s=metaqnn --from-literal=%s=$(openssl rand -hex 20). An older release made the secret %s: to keep it, kubectl annotate secret %s --namespace %s helm.sh/resource-policy=keep, and name it" .Release.Namespace $v.store.existingSecret.accessKeyIdKey $v.store.existingSecret.secretAccessKeyKey $before $before .Release.Namespace) }}
{{- end }}
{{- end }}
{{- if and $v.store.externalEndpoint (not $v.store.endpoint) (not $v.seaweedfs.enabled) }}
{{- fail "store.externalEndpoint says how laptops reach the store, but store.endpoint does not say how Pods do; set it too" }}
{{- end }}
{{- range $key, $image := dict "trainer.image" $v.trainer.image "orchestrator.image" $v.orchestrator.image }}
{{- if and $image.tag $image.digest }}
{{- fail (printf "%s.tag and %s.digest: an image is named by one of them; unset the other" $key $key) }}
{{- end }}
{{- end }}
{{- range $key, $account := dict "trainer.serviceAccount" $v.trainer.serviceAccount "orchestrator.serviceAccount" $v.orchestrator.serviceAccount }}
{{- if not (or $account.create $account.name) }}
{{- fail (printf "%s.create is false, so %s.name must say which one is there" $key $key) }}
{{- end }}
{{- end }}
{{- if eq (include "metaqnn.trainerAccount" .) (include "metaqnn.orchestratorAccount" .) }}
{{- fail "trainer.serviceAccount.name and orchestrator.serviceAccount.name are the same: the trainers would have the orchestrator's rights" }}
{{- end }}
{{- if and $v.rbac.researchersReadStoreSecret (not (include "metaqnn.secret" .)) }}
{{- fail "rbac.researchersReadStoreSecret: there is no secret to read; set store.existingSecret.name" }}
{{- end }}
{{- if and $v.rbac.researchersReadStoreSecret (not $v.rbac.researchers) }}
{{- fail "rbac.researchersReadStoreSecret: rbac.researchers names nobody" }}
{{- end }}
{{- if and $v.kueue.priorityClass (not $v.kueue.queue) }}
{{- fail "kueue.priorityClass has no meaning without kueue.queue" }}
{{- end }}
{{- $asked := printf "requests.%s" $v.trainer.gpu.resource }}
{{- if hasKey $v.resourceQuota $asked }}
{{- if lt (get $v.resourceQuota $asked | int) ($v.trainer.gpu.count | int) }}
{{- fail (printf "resourceQuota allows %v of %s, but one trial asks for %d (trainer.gpu.count): none would ever start" (get $v.resourceQuota $asked) $asked ($v.trainer.gpu.count | int)) }}
{{- end }}
{{- end }}
{{- if $v.search.enabled }}
{{- if not (and $v.search.run $v.search.settings) }}
{{- fail "search.enabled: search.run must name the run, and search.settings say what is searched, as in search.settings.preset=digits" }}
{{- end }}
{{- if not (include "metaqnn.store" .) }}
{{- fail "search.enabled: store.bucket must say where the results go" }}
{{- end }}
{{- end }}
{{- if and (or $v.metrics.podMonitor.enabled $v.metrics.dashboard.enabled) (not $v.metrics.enabled) }}
{{- fail "metrics.podMonitor.enabled and metrics.dashboard.enabled show nothing without metrics.enabled=true" }}
{{- end }}
{{- if and $v.metrics.podMonitor.enabled (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) }}
{{- fail "metrics.podMonitor.enabled: this cluster does not know monitoring.coreos.com/v1; install the Prometheus Operator first (helm template needs --api-versions monitoring.coreos.com/v1)" }}
{{- end }}
{{- if $v.dashboard.enabled }}
{{- if not (include "metaqnn.store" .) }}
{{- fail "dashboard.enabled: store.bucket must say whose runs are shown" }}
{{- end }}
{{- if not $v.dashboard.token.existingSecret }}
{{- fail (printf "dashboard.enabled: dashboard.token.existingSecret must name a secret with the token that a browser must know, which you make up: kubectl create secret generic dashboard-token --namespace %s --from-literal=%s=$(openssl rand -hex 20)" .Release.Namespace $v.dashboard.token.key) }}
{{- end }}
{{- if and $v.dashboard.storeSecret $v.store.cloudIdentity }}
{{- fail "dashboard.storeSecret and store.cloudIdentity: the dashboard opens the store with its own identity or with a secret's keys, not both; unset one" }}
{{- end }}
{{- if not (or $v.dashboard.serviceAccount.create $v.dashboard.serviceAccount.name) }}
{{- fail "dashboard.serviceAccount.create is false, so dashboard.serviceAccount.name must say which one is there" }}
{{- end }}
{{- if eq (include "metaqnn.dashboardAccount" .) (include "metaqnn.orchestratorAccount" .) }}
{{- fail "dashboard.serviceAccount.name and orchestrator.serviceAccount.name are the same: the dashboard would have the orchestrator's rights" }}
{{- end }}
{{- end }}
{{- if and $v.datasetCache.existingClaim $v.datasetCache.storageClassName }}
{{- fail "datasetCache.existingClaim and datasetCache.storageClassName: a claim that is there has its class; unset one" }}
{{- end }}
{{- end }}
