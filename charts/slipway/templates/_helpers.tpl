{{- define "slipway.name" -}}
{{- if contains "slipway" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-slipway{{ end }}
{{- end }}

{{- /* Of the whole cluster, so that releases of one name, each with namespaces of its own, need two. */ -}}
{{- define "slipway.ofCluster" -}}
{{ include "slipway.name" . }}{{ if .Values.watchNamespaces }}-{{ .Release.Namespace }}{{ end }}
{{- end }}

{{- define "slipway.policy" -}}
{{ include "slipway.ofCluster" . }}-requested-by
{{- end }}

{{- /* What a CRD's objects are stored as: what is asked for, else what the cluster has, so that no upgrade takes a
     migration back. */ -}}
{{- define "slipway.storedVersion" -}}
{{- $stored := "v1alpha1" }}
{{- range dig "spec" "versions" list (lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .crd) }}
{{- if and .storage (eq .name "v1beta1") }}{{ $stored = .name }}{{ end }}
{{- end }}
{{- .Values.crds.storageVersion | default $stored }}
{{- end }}

{{- /* What an admission policy looks at. */ -}}
{{- define "slipway.policyConstraints" -}}
resourceRules:
  - apiGroups: [slipway.dev]
    apiVersions: [v1alpha1, v1beta1]
    operations: [CREATE, UPDATE]
    resources: [modeldeployments]
{{- with .Values.watchNamespaces }}
namespaceSelector:
  matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
{{- end }}
{{- end }}

{{- /* Whether somebody asks for an action now. One from before the object's creation, as a backup brings it back,
     is void. */ -}}
{{- define "slipway.policyAction" -}}
- name: action
  expression: object.metadata.?annotations[?'slipway.dev/action'].orValue('')
- name: oldAction
  expression: "oldObject == null ? '' : oldObject.metadata.?annotations[?'slipway.dev/action'].orValue('')"
- name: isAsked
  expression: >-
    variables.action != '' && variables.action != variables.oldAction
    && !(oldObject == null && variables.action.matches('^[^#]*#[0-9]{1,13}$')
    && int(variables.action.split('#')[1]) < int(timestamp(object.metadata.creationTimestamp)) * 1000)
- name: verb
  expression: variables.action.split('#')[0].split('@')[0].split('=')[0]
{{- end }}

{{- /* What the schema cannot say, refused before anything is written. */ -}}
{{- define "slipway.check" -}}
{{- range $value := list "commonLabels" "podLabels" }}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{- if hasKey (index $.Values $value) $label }}
{{- fail (printf "%s: found %s, which the chart sets itself; leave it out" $value $label) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.lease }}
{{- $longest := addf .writeWindowSeconds 3 }}
{{- if le (float64 .durationSeconds) $longest }}
{{- fail (printf "lease.durationSeconds: found %v, expected more than %v: writeWindowSeconds and the 3 s that a request may take" .durationSeconds $longest) }}
{{- end }}
{{- if and .singleReplica (gt (int $.Values.replicas) 1) }}
{{- fail (printf "lease.singleReplica: found true with replicas %v, expected replicas 1" $.Values.replicas) }}
{{- end }}
{{- if ge (float64 .renewSeconds) (float64 .writeWindowSeconds) }}
{{- fail (printf "lease.renewSeconds: found %v, expected less than writeWindowSeconds, %v" .renewSeconds .writeWindowSeconds) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Who may edit had all of these before they were rights of their own. */ -}}
{{- define "slipway.ownersRules" -}}
- {apiGroups: [slipway.dev], resources: [modeldeployments/spec], verbs: [update]}  # people: the policy asks for this before the spec changes
- {apiGroups: [slipway.dev], resources: [modeldeployments/approve, modeldeployments/promote, modeldeployments/skip, modeldeployments/abort, modeldeployments/rollback, modeldeployments/retry, modeldeployments/pause, modeldeployments/resume], verbs: [create]}  # people: the policy asks for these before an action
{{- end }}

{{- define "slipway.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "slipway.name" .) }}
{{- end }}

{{- define "slipway.selector" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "slipway.labels" -}}
{{ include "slipway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "slipway.image" -}}
{{- with .Values.image -}}
{{- $repository := required "image.repository: name the operator's image; 'make images' builds it" .repository -}}
{{- if .digest }}{{ $repository }}@{{ .digest }}{{ else }}{{ $repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* The operator's settings: those that the chart makes, and the values of the same name
     (operator/slipway/settings.py says what they mean). */ -}}
{{- define "slipway.settings" -}}
namespace: {{ .Release.Namespace }}
operatorImage: {{ include "slipway.image" . }}
serverImage: {{ .Values.server.image }}
{{- $_ := required "router.envoyImage: name the router's Envoy image; 'make images' builds it" .Values.router.envoyImage }}
{{ pick .Values "registry" "registries" "sources" "podUsers" "router" "jobs" "optimizer" "modelPods" "modelNetworkPolicies" "prometheus" "hooks" "audit" "tracing" "lease" "admission" "rollouts" "watchNamespaces" "workers" "logLevel" | toYaml }}
{{- end }}

{{- /* What the operator may do where it watches: one rule per line, and which part of slipway needs it.
     It grants routers nothing that it does not hold itself, so it needs neither escalate nor bind. */ -}}
{{- define "slipway.rules" -}}
- {apiGroups: [slipway.dev], resources: [modeldeployments], verbs: [get, list, watch]}  # manager.watch, reconcile: what users want; never written
- {apiGroups: [slipway.dev], resources: [modeldeployments/status], verbs: [get, patch]}  # reconcile: what they read back
- {apiGroups: [slipway.dev], resources: [modelroutes], verbs: [get, list, watch, create, patch, delete]}  # reconcile: weights; get, list and watch also for the router's agents
- {apiGroups: [slipway.dev], resources: [modelroutes/status], verbs: [get, patch]}  # reconcile.router hands it to the agents, who acknowledge weights there
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}  # reconcile.router hands it to the agents, who follow the pods
- {apiGroups: [apps], resources: [controllerrevisions], verbs: [get, list, watch, create, patch, delete]}  # reconcile: one snapshot per revision; patch only for annotations
- {apiGroups: [apps], resources: [deployments], verbs: [get, list, watch, create, patch, delete]}  # reconcile: one workload per revision; reconcile.router: the router
- {apiGroups: [batch], resources: [jobs], verbs: [get, list, watch, create, delete]}  # reconcile: package and check Jobs; never changed
- {apiGroups: [""], resources: [services], verbs: [get, list, watch, create, patch, delete]}  # reconcile: the clients' Service, and one per revision
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [get, list, watch, create, patch, delete]}  # reconcile: revisions of two or more replicas; reconcile.router
- {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [get, list, watch, create, patch, delete]}  # reconcile.autoscalers: one per live revision, with scaling.engine HPA
- {apiGroups: [keda.sh], resources: [scaledobjects], verbs: [get, list, create, patch, delete]}  # reconcile.scaled_objects: one per live revision, with scaling.engine KEDA; not watched
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch, delete]}  # reconcile: why a container died; reconcile.router: deletes a proxy that fell silent
- {apiGroups: [metrics.k8s.io], resources: [pods], verbs: [list]}  # reconcile.read_memory: what pods hold in a bake, where the cluster serves it
- {apiGroups: [""], resources: [serviceaccounts], verbs: [get, list, watch, create, patch, delete]}  # reconcile.router: the anchor that owns a namespace's router
- {apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings], verbs: [get, list, create, patch, delete]}  # reconcile.router: rights of the agents
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [get, list, create, patch, delete]}  # reconcile.router: who reaches routers, model servers and Jobs
- {apiGroups: [""], resources: [events], verbs: [get, create, patch]}  # adapters.events: what happened, with numbers; repeats are counted
- {apiGroups: [gateway.networking.k8s.io], resources: [httproutes, grpcroutes], verbs: [get, list]}  # reconcile.gateways: whether an earlier release left a route here
{{- if .Values.gateway.enabled }}
- {apiGroups: [gateway.networking.k8s.io], resources: [httproutes, grpcroutes], verbs: [create, patch, delete]}  # reconcile.gateways: one of a kind for each ModelDeployment with traffic.gateway
- {apiGroups: [gateway.networking.k8s.io], resources: [gateways], verbs: [get]}  # reconcile.gateways: whether a Gateway exists and runs
{{- end }}
{{- end }}
