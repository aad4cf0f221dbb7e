/* kinds_table.c - the built-in kinds, as facts of the Kubernetes API 1.32. */
#include "orchestrator/objects/kinds.h"

/* clang-format off */
const struct kind kinds_builtin[] = {
    {.group = "", .version = "v1", .resource = "bindings", .singular = "binding", .kind =
     "Binding", .list_kind = "BindingList", .schema = "Binding", .storage = "bindings",
     .short_names = "", .categories = "", .verbs = VERB_CREATE, .flags = KIND_NAMESPACED |
     KIND_REVIEW},
    {.group = "", .version = "v1", .resource = "configmaps", .singular = "configmap", .kind =
     "ConfigMap", .list_kind = "ConfigMapList", .schema = "ConfigMap", .storage = "configmaps",
     .short_names = "cm", .categories = "", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED},
    {.group = "", .version = "v1", .resource = "endpoints", .singular = "endpoints", .kind =
     "Endpoints", .list_kind = "EndpointsList", .schema = "Endpoints", .storage = "endpoints",
     .short_names = "ep", .categories = "", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED},
    {.group = "", .version = "v1", .resource = "events", .singular = "event", .kind = "Event",
     .list_kind = "EventList", .schema = "Event", .storage = "events", .short_names = "ev",
     .categories = "", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED},
    {.group = "", .version = "v1", .resource = "limitranges", .singular = "limitrange", .kind =
     "LimitRange", .list_kind = "LimitRangeList", .schema = "LimitRange", .storage =
     "limitranges", .short_names = "limits", .categories = "", .verbs = VERBS_ALL, .flags =
     KIND_NAMESPACED},
    {.group = "", .version = "v1", .resource = "namespaces", .singular = "namespace", .kind =
     "Namespace", .list_kind = "NamespaceList", .schema = "Namespace", .storage = "namespaces",
     .short_names = "ns", .categories = "", .verbs = VERBS_ALL & ~VERB_DELETE_COLLECTION, .flags
     = KIND_STATUS},
    {.group = "", .version = "v1", .resource = "nodes", .singular = "node", .kind = "Node",
     .list_kind = "NodeList", .schema = "Node", .storage = "nodes", .short_names = "no",
     .categories = "", .verbs = VERBS_ALL, .flags = KIND_STATUS},
    {.group = "", .version = "v1", .resource = "persistentvolumeclaims", .singular =
     "persistentvolumeclaim", .kind = "PersistentVolumeClaim", .list_kind =
     "PersistentVolumeClaimList", .schema = "PersistentVolumeClaim", .storage =
     "persistentvolumeclaims", .short_names = "pvc", .categories = "", .verbs = VERBS_ALL,
     .flags = KIND_NAMESPACED | KIND_STATUS},
    {.group = "", .version = "v1", .resource = "persistentvolumes", .singular =
     "persistentvolume", .kind = "PersistentVolume", .list_kind = "PersistentVolumeList",
     .schema = "PersistentVolume", .storage = "persistentvolumes", .short_names = "pv",
     .categories = "", .verbs = VERBS_ALL, .flags = KIND_STATUS},
    {.group = "", .version = "v1", .resource = "pods", .singular = "pod", .kind = "Pod",
     .list_kind = "PodList", .schema = "Pod", .storage = "pods", .short_names = "po",
     .categories = "all", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED | KIND_STATUS |
     KIND_GRACEFUL},
    {.group = "", .version = "v1", .resource = "podtemplates", .singular = "podtemplate", .kind
     = "PodTemplate", .list_kind = "PodTemplateList", .schema = "PodTemplate", .storage =
     "podtemplates", .short_names = "", .categories = "", .verbs = VERBS_ALL, .flags =
     KIND_NAMESPACED},
    {.group = "", .version = "v1", .resource = "replicationcontrollers", .singular =
     "replicationcontroller", .kind = "ReplicationController", .list_kind =
     "ReplicationControllerList", .schema = "ReplicationController", .storage =
     "replicationcontrollers", .short_names = "rc", .categories = "all", .verbs = VERBS_ALL,
     .flags = KIND_NAMESPACED | KIND_STATUS | KIND_SCALE | KIND_GENERATION},
    {.group = "", .version = "v1", .resource = "resourcequotas", .singular = "resourcequota",
     .kind = "ResourceQuota", .list_kind = "ResourceQuotaList", .schema = "ResourceQuota",
     .storage = "resourcequotas", .short_names = "quota", .categories = "", .verbs = VERBS_ALL,
     .flags = KIND_NAMESPACED | KIND_STATUS},
    {.group = "", .version = "v1", .resource = "secrets", .singular = "secret", .kind =
     "Secret", .list_kind = "SecretList", .schema = "Secret", .storage = "secrets", .short_names
     = "", .categories = "", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED},
    {.group = "", .version = "v1", .resource = "serviceaccounts", .singular = "serviceaccount",
     .kind = "ServiceAccount", .list_kind = "ServiceAccountList", .schema = "ServiceAccount",
     .storage = "serviceaccounts", .short_names = "sa", .categories = "", .verbs = VERBS_ALL,
     .flags = KIND_NAMESPACED},
    {.group = "", .version = "v1", .resource = "services", .singular = "service", .kind =
     "Service", .list_kind = "ServiceList", .schema = "Service", .storage = "services",
     .short_names = "svc", .categories = "all", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED |
     KIND_STATUS},
    {.group = "apiextensions.k8s.io", .version = "v1", .resource = "customresourcedefinitions",
     .singular = "customresourcedefinition", .kind = "CustomResourceDefinition", .list_kind =
     "CustomResourceDefinitionList", .schema = "CustomResourceDefinition", .storage =
     "customresourcedefinitions", .short_names = "crd,crds", .categories = "api-extensions",
     .verbs = VERBS_ALL, .flags = KIND_STATUS | KIND_GENERATION},
    {.group = "apps", .version = "v1", .resource = "controllerrevisions", .singular =
     "controllerrevision", .kind = "ControllerRevision", .list_kind = "ControllerRevisionList",
     .schema = "ControllerRevision", .storage = "controllerrevisions", .short_names = "",
     .categories = "", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED},
    {.group = "apps", .version = "v1", .resource = "daemonsets", .singular = "daemonset", .kind
     = "DaemonSet", .list_kind = "DaemonSetList", .schema = "DaemonSet", .storage =
     "daemonsets", .short_names = "ds", .categories = "all", .verbs = VERBS_ALL, .flags =
     KIND_NAMESPACED | KIND_STATUS | KIND_GENERATION},
    {.group = "apps", .version = "v1", .resource = "deployments", .singular = "deployment",
     .kind = "Deployment", .list_kind = "DeploymentList", .schema = "Deployment", .storage =
     "deployments", .short_names = "deploy", .categories = "all", .verbs = VERBS_ALL, .flags =
     KIND_NAMESPACED | KIND_STATUS | KIND_SCALE | KIND_GENERATION},
    {.group = "apps", .version = "v1", .resource = "replicasets", .singular = "replicaset",
     .kind = "ReplicaSet", .list_kind = "ReplicaSetList", .schema = "ReplicaSet", .storage =
     "replicasets", .short_names = "rs", .categories = "all", .verbs = VERBS_ALL, .flags =
     KIND_NAMESPACED | KIND_STATUS | KIND_SCALE | KIND_GENERATION},
    {.group = "apps", .version = "v1", .resource = "statefulsets", .singular = "statefulset",
     .kind = "StatefulSet", .list_kind = "StatefulSetList", .schema = "StatefulSet", .storage =
     "statefulsets", .short_names = "sts", .categories = "all", .verbs = VERBS_ALL, .flags =
     KIND_NAMESPACED | KIND_STATUS | KIND_SCALE | KIND_GENERATION},
    {.group = "authentication.k8s.io", .version = "v1", .resource = "selfsubjectreviews",
     .singular = "selfsubjectreview", .kind = "SelfSubjectReview", .list_kind =
     "SelfSubjectReviewList", .schema = "SelfSubjectReview", .storage = "selfsubjectreviews",
     .short_names = "", .categories = "", .verbs = VERB_CREATE, .flags = KIND_REVIEW},
    {.group = "authentication.k8s.io", .version = "v1", .resource = "tokenreviews", .singular =
     "tokenreview", .kind = "TokenReview", .list_kind = "TokenReviewList", .schema =
     "TokenReview", .storage = "tokenreviews", .short_names = "", .categories = "", .verbs =
     VERB_CREATE, .flags = KIND_REVIEW},
    {.group = "authorization.k8s.io", .version = "v1", .resource = "localsubjectaccessreviews",
     .singular = "localsubjectaccessreview", .kind = "LocalSubjectAccessReview", .list_kind =
     "LocalSubjectAccessReviewList", .schema = "LocalSubjectAccessReview", .storage =
     "localsubjectaccessreviews", .short_names = "", .categories = "", .verbs = VERB_CREATE,
     .flags = KIND_NAMESPACED | KIND_REVIEW},
    {.group = "authorization.k8s.io", .version = "v1", .resource = "selfsubjectaccessreviews",
     .singular = "selfsubjectaccessreview", .kind = "SelfSubjectAccessReview", .list_kind =
     "SelfSubjectAccessReviewList", .schema = "SelfSubjectAccessReview", .storage =
     "selfsubjectaccessreviews", .short_names = "", .categories = "", .verbs = VERB_CREATE,
     .flags = KIND_REVIEW},
    {.group = "authorization.k8s.io", .version = "v1", .resource = "selfsubjectrulesreviews",
     .singular = "selfsubjectrulesreview", .kind = "SelfSubjectRulesReview", .list_kind =
     "SelfSubjectRulesReviewList", .schema = "SelfSubjectRulesReview", .storage =
     "selfsubjectrulesreviews", .short_names = "", .categories = "", .verbs = VERB_CREATE,
     .flags = KIND_REVIEW},
    {.group = "authorization.k8s.io", .version = "v1", .resource = "subjectaccessreviews",
     .singular = "subjectaccessreview", .kind = "SubjectAccessReview", .list_kind =
     "SubjectAccessReviewList", .schema = "SubjectAccessReview", .storage =
     "subjectaccessreviews", .short_names = "", .categories = "", .verbs = VERB_CREATE, .flags =
     KIND_REVIEW},
    {.group = "autoscaling", .version = "v2", .resource = "horizontalpodautoscalers", .singular
     = "horizontalpodautoscaler", .kind = "HorizontalPodAutoscaler", .list_kind =
     "HorizontalPodAutoscalerList", .schema = "autoscaling_v2.HorizontalPodAutoscaler", .storage
     = "horizontalpodautoscalers", .short_names = "hpa", .categories = "all", .verbs =
     VERBS_ALL, .flags = KIND_NAMESPACED | KIND_STATUS},
    {.group = "autoscaling", .version = "v1", .resource = "horizontalpodautoscalers", .singular
     = "horizontalpodautoscaler", .kind = "HorizontalPodAutoscaler", .list_kind =
     "HorizontalPodAutoscalerList", .schema = "autoscaling_v1.HorizontalPodAutoscaler", .storage
     = "horizontalpodautoscalers", .short_names = "hpa", .categories = "all", .verbs =
     VERBS_ALL, .flags = KIND_NAMESPACED | KIND_STATUS},
    {.group = "batch", .version = "v1", .resource = "cronjobs", .singular = "cronjob", .kind =
     "CronJob", .list_kind = "CronJobList", .schema = "CronJob", .storage = "cronjobs",
     .short_names = "cj", .categories = "all", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED |
     KIND_STATUS | KIND_GENERATION},
    {.group = "batch", .version = "v1", .resource = "jobs", .singular = "job", .kind = "Job",
     .list_kind = "JobList", .schema = "Job", .storage = "jobs", .short_names = "", .categories
     = "all", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED | KIND_STATUS | KIND_GENERATION},
    {.group = "certificates.k8s.io", .version = "v1", .resource = "certificatesigningrequests",
     .singular = "certificatesigningrequest", .kind = "CertificateSigningRequest", .list_kind =
     "CertificateSigningRequestList", .schema = "CertificateSigningRequest", .storage =
     "certificatesigningrequests", .short_names = "csr", .categories = "", .verbs = VERBS_ALL,
     .flags = KIND_STATUS},
    {.group = "coordination.k8s.io", .version = "v1", .resource = "leases", .singular = "lease",
     .kind = "Lease", .list_kind = "LeaseList", .schema = "Lease", .storage = "leases",
     .short_names = "", .categories = "", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED},
    {.group = "discovery.k8s.io", .version = "v1", .resource = "endpointslices", .singular =
     "endpointslice", .kind = "EndpointSlice", .list_kind = "EndpointSliceList", .schema =
     "EndpointSlice", .storage = "endpointslices", .short_names = "", .categories = "", .verbs =
     VERBS_ALL, .flags = KIND_NAMESPACED | KIND_GENERATION},
    {.group = "events.k8s.io", .version = "v1", .resource = "events", .singular = "event", .kind
     = "Event", .list_kind = "EventList", .schema = "events_v1.Event", .storage = "events",
     .short_names = "ev", .categories = "", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED},
    {.group = "metrics.k8s.io", .version = "v1beta1", .resource = "nodes", .singular = "", .kind
     = "NodeMetrics", .list_kind = "NodeMetricsList", .schema = NULL, .storage =
     "metrics.nodes", .short_names = "", .categories = "", .verbs = VERB_GET | VERB_LIST, .flags
     = KIND_METRICS},
    {.group = "metrics.k8s.io", .version = "v1beta1", .resource = "pods", .singular = "", .kind
     = "PodMetrics", .list_kind = "PodMetricsList", .schema = NULL, .storage = "metrics.pods",
     .short_names = "", .categories = "", .verbs = VERB_GET | VERB_LIST, .flags =
     KIND_NAMESPACED | KIND_METRICS},
    {.group = "networking.k8s.io", .version = "v1", .resource = "ingressclasses", .singular =
     "ingressclass", .kind = "IngressClass", .list_kind = "IngressClassList", .schema =
     "IngressClass", .storage = "ingressclasses", .short_names = "", .categories = "", .verbs =
     VERBS_ALL, .flags = KIND_GENERATION},
    {.group = "networking.k8s.io", .version = "v1", .resource = "ingresses", .singular =
     "ingress", .kind = "Ingress", .list_kind = "IngressList", .schema = "Ingress", .storage =
     "ingresses", .short_names = "ing", .categories = "", .verbs = VERBS_ALL, .flags =
     KIND_NAMESPACED | KIND_STATUS | KIND_GENERATION},
    {.group = "networking.k8s.io", .version = "v1", .resource = "networkpolicies", .singular =
     "networkpolicy", .kind = "NetworkPolicy", .list_kind = "NetworkPolicyList", .schema =
     "NetworkPolicy", .storage = "networkpolicies", .short_names = "netpol", .categories = "",
     .verbs = VERBS_ALL, .flags = KIND_NAMESPACED | KIND_GENERATION},
    {.group = "node.k8s.io", .version = "v1", .resource = "runtimeclasses", .singular =
     "runtimeclass", .kind = "RuntimeClass", .list_kind = "RuntimeClassList", .schema =
     "RuntimeClass", .storage = "runtimeclasses", .short_names = "", .categories = "", .verbs =
     VERBS_ALL, .flags = 0},
    {.group = "policy", .version = "v1", .resource = "poddisruptionbudgets", .singular =
     "poddisruptionbudget", .kind = "PodDisruptionBudget", .list_kind =
     "PodDisruptionBudgetList", .schema = "PodDisruptionBudget", .storage =
     "poddisruptionbudgets", .short_names = "pdb", .categories = "", .verbs = VERBS_ALL, .flags
     = KIND_NAMESPACED | KIND_STATUS | KIND_GENERATION},
    {.group = "rbac.authorization.k8s.io", .version = "v1", .resource = "clusterrolebindings",
     .singular = "clusterrolebinding", .kind = "ClusterRoleBinding", .list_kind =
     "ClusterRoleBindingList", .schema = "ClusterRoleBinding", .storage = "clusterrolebindings",
     .short_names = "", .categories = "", .verbs = VERBS_ALL, .flags = 0},
    {.group = "rbac.authorization.k8s.io", .version = "v1", .resource = "clusterroles",
     .singular = "clusterrole", .kind = "ClusterRole", .list_kind = "ClusterRoleList", .schema =
     "ClusterRole", .storage = "clusterroles", .short_names = "", .categories = "", .verbs =
     VERBS_ALL, .flags = 0},
    {.group = "rbac.authorization.k8s.io", .version = "v1", .resource = "rolebindings",
     .singular = "rolebinding", .kind = "RoleBinding", .list_kind = "RoleBindingList", .schema =
     "RoleBinding", .storage = "rolebindings", .short_names = "", .categories = "", .verbs =
     VERBS_ALL, .flags = KIND_NAMESPACED},
    {.group = "rbac.authorization.k8s.io", .version = "v1", .resource = "roles", .singular =
     "role", .kind = "Role", .list_kind = "RoleList", .schema = "Role", .storage = "roles",
     .short_names = "", .categories = "", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED},
    {.group = "scheduling.k8s.io", .version = "v1", .resource = "priorityclasses", .singular =
     "priorityclass", .kind = "PriorityClass", .list_kind = "PriorityClassList", .schema =
     "PriorityClass", .storage = "priorityclasses", .short_names = "pc", .categories = "",
     .verbs = VERBS_ALL, .flags = KIND_GENERATION},
    {.group = "storage.k8s.io", .version = "v1", .resource = "csidrivers", .singular =
     "csidriver", .kind = "CSIDriver", .list_kind = "CSIDriverList", .schema = "CSIDriver",
     .storage = "csidrivers", .short_names = "", .categories = "", .verbs = VERBS_ALL, .flags =
     0},
    {.group = "storage.k8s.io", .version = "v1", .resource = "csinodes", .singular = "csinode",
     .kind = "CSINode", .list_kind = "CSINodeList", .schema = "CSINode", .storage = "csinodes",
     .short_names = "", .categories = "", .verbs = VERBS_ALL, .flags = 0},
    {.group = "storage.k8s.io", .version = "v1", .resource = "csistoragecapacities", .singular =
     "csistoragecapacity", .kind = "CSIStorageCapacity", .list_kind = "CSIStorageCapacityList",
     .schema = "CSIStorageCapacity", .storage = "csistoragecapacities", .short_names = "",
     .categories = "", .verbs = VERBS_ALL, .flags = KIND_NAMESPACED},
    {.group = "storage.k8s.io", .version = "v1", .resource = "storageclasses", .singular =
     "storageclass", .kind = "StorageClass", .list_kind = "StorageClassList", .schema =
     "StorageClass", .storage = "storageclasses", .short_names = "sc", .categories = "", .verbs
     = VERBS_ALL, .flags = 0},
    {.group = "storage.k8s.io", .version = "v1", .resource = "volumeattachments", .singular =
     "volumeattachment", .kind = "VolumeAttachment", .list_kind = "VolumeAttachmentList",
     .schema = "VolumeAttachment", .storage = "volumeattachments", .short_names = "",
     .categories = "", .verbs = VERBS_ALL, .flags = KIND_STATUS},
};
/* clang-format on */

const size_t kinds_builtin_count = sizeof(kinds_builtin) / sizeof(kinds_builtin[0]);
