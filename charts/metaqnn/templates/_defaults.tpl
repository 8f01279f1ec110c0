{{/* Made by `make chart` from values.yaml. */}}
{{- define "metaqnn.defaults" -}}
global:
  imageRegistry: ''
fullnameOverride: ''
commonLabels: {}
imagePullSecrets: []
store:
  bucket: ''
  prefix: metaqnn
  endpoint: ''
  externalEndpoint: ''
  region: ''
  addressingStyle: auto
  checksums: auto
  existingSecret:
    name: ''
    accessKeyIdKey: AWS_ACCESS_KEY_ID
    secretAccessKeyKey: AWS_SECRET_ACCESS_KEY
    sessionTokenKey: AWS_SESSION_TOKEN
  cloudIdentity: false
  caBundle:
    configMap: ''
    secret: ''
    key: ca.crt
trainer:
  image:
    repository: localhost/metaqnn-trainer
    tag: ''
    digest: ''
    pullPolicy: IfNotPresent
  serviceAccount:
    create: true
    name: ''
    annotations: {}
  gpu:
    resource: nvidia.com/gpu
    count: 1
    share: 0
    claims: []
  cpu: 2
  memory: 8Gi
  sharedMemory: 1Gi
  ephemeralStorage: 2Gi
  parallel: 2
  trialsPerJob: 1
  timeLimitSeconds: 21600
  graceSeconds: 60
  keepSeconds: 2592000
  priorityClassName: ''
  runtimeClassName: ''
  nodeSelector: {}
  tolerations: []
  affinity: {}
  labels: {}
  podAnnotations: {}
  podSecurityContext: {}
  env: []
  volumes: []
  volumeMounts: []
  initContainers: []
kueue:
  queue: ''
  priorityClass: ''
  managedBy: ''
orchestrator:
  image:
    repository: localhost/metaqnn-orchestrator
    tag: ''
    digest: ''
    pullPolicy: IfNotPresent
  serviceAccount:
    create: true
    name: ''
    annotations: {}
  resources: {}
  temporarySize: 256Mi
  liveness:
    enabled: true
    port: 8081
  priorityClassName: ''
  nodeSelector: {}
  tolerations: []
  affinity: {}
  podLabels: {}
  podAnnotations: {}
  podSecurityContext: {}
  env: []
search:
  enabled: false
  run: ''
  settings: {}
rbac:
  create: true
  researchers: []
  researchersReadStoreSecret: false
resourceQuota: {}
limitRange: []
networkPolicy:
  enabled: true
  nameServers:
    to: []
    ports: []
  api:
    to: []
    ports: []
  orchestrator:
    egress: []
  dashboard:
    from: []
  store:
    to: []
    ports: []
metrics:
  enabled: false
  port: 9090
  podMonitor:
    enabled: false
    interval: 30s
    labels: {}
  dashboard:
    enabled: false
    labels: {}
    annotations: {}
dashboard:
  enabled: false
  token:
    existingSecret: ''
    key: token
  storeSecret: ''
  hosts: []
  port: 8080
  service:
    type: ClusterIP
    annotations: {}
  serviceAccount:
    create: true
    name: ''
    annotations: {}
  resources: {}
datasetCache:
  enabled: false
  existingClaim: ''
  storageClassName: ''
  accessMode: ReadWriteMany
  size: 10Gi
seaweedfs:
  enabled: false
  image:
    repository: docker.io/chrislusf/seaweedfs
    tag: '4.48'
    digest: ''
    pullPolicy: IfNotPresent
  storageClassName: ''
  size: 20Gi
extraObjects: []
{{- end }}
