// What is on screen: each view makes elements from the state. Text goes in as text, never as HTML.

const element = (tag, attributes, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

export function age(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (Number.isNaN(seconds)) return "";
  if (seconds < 120) return `${Math.floor(seconds)}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86400)}d`;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let amount = count ?? 0;
  for (; amount >= 1024 && unit < units.length - 1; unit++) amount /= 1024;
  return `${amount.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

// A word with its colour; the word says it all, the colour only helps.
const GOOD = ["Ready", "Running", "Active", "Bound", "Complete", "Succeeded", "leader", "follower"];
const WAITING = ["Pending", "ContainerCreating", "PodInitializing", "Terminating", "Progressing", "learner", "Suspended"];
function health(word) {
  const tone = GOOD.includes(word) ? "good" : WAITING.includes(word) ? "wait" : "bad";
  return element("span", { class: tone }, word);
}

// columns: [title, cell(object), "number" where it is one]
function table(caption, columns, rows) {
  const heads = columns.map(([title, , kind]) => element("th", { scope: "col", class: kind ?? "" }, title));
  const lines = rows.map((row) =>
    element("tr", { "data-name": row.metadata?.name ?? row.name ?? "" },
      ...columns.map(([, cell, kind]) => element("td", { class: (row.depth && cell === columns[0][1] ? "child " : "") + (kind ?? "") }, cell(row) ?? ""))));
  const body = lines.length ? lines : [element("tr", null, element("td", { colspan: columns.length, class: "faint" }, "none"))];
  return element("div", { class: "wide" },
    element("table", null, element("caption", null, caption), element("thead", null, element("tr", null, ...heads)), element("tbody", null, ...body)));
}

const sorted = (objects) =>
  [...objects].sort((a, b) => `${a.metadata.namespace ?? ""}/${a.metadata.name}`.localeCompare(`${b.metadata.namespace ?? ""}/${b.metadata.name}`));
const inNamespace = (state, name) =>
  sorted(state.objects[name].values()).filter((object) => !state.namespace || object.metadata.namespace === state.namespace);
const ageOf = (object) => age(object.metadata.creationTimestamp);
const condition = (object, type) => (object.status?.conditions ?? []).find((one) => one.type === type);

export const podOf = (state, uid) => state.objects.pods.get(uid);

export function podWord(pod) {
  if (pod.metadata.deletionTimestamp) return "Terminating";
  for (const one of pod.status?.containerStatuses ?? []) {
    const reason = one.state?.waiting?.reason ?? one.state?.terminated?.reason;
    if (reason && reason !== "Completed") return reason;
  }
  return pod.status?.reason ?? pod.status?.phase ?? "Pending";
}

function podReady(pod) {
  const statuses = pod.status?.containerStatuses ?? [];
  return `${statuses.filter((one) => one.ready).length}/${pod.spec.containers.length}`;
}

const restarts = (pod) => (pod.status?.containerStatuses ?? []).reduce((sum, one) => sum + (one.restartCount ?? 0), 0);

function logsButton(pod) {
  const label = `Logs of ${pod.metadata.name}`;
  return element("button", { type: "button", "data-logs": pod.metadata.uid, "data-key": `logs-${pod.metadata.uid}`, "aria-label": label }, "Logs");
}

const podColumns = [
  ["Pod", (pod) => pod.metadata.name],
  ["Namespace", (pod) => pod.metadata.namespace],
  ["Ready", podReady, "number"],
  ["Status", (pod) => health(podWord(pod))],
  ["Restarts", (pod) => String(restarts(pod)), "number"],
  ["Node", (pod) => pod.spec.nodeName ?? "none yet"],
  ["Address", (pod) => pod.status?.podIP ?? ""],
  ["Age", ageOf, "number"],
  ["", logsButton],
];

function drawStore(state) {
  const store = state.store ?? { members: [], problem: "not heard of yet" };
  const last = Math.max(0, ...store.members.map((member) => member.raftIndex ?? 0));
  const revision = Math.max(0, ...store.members.map((member) => member.revision ?? 0));
  const role = (member) => {
    if (member.problem) return element("span", { class: "bad" }, member.problem);
    if ((member.errors ?? []).length) return element("span", { class: "bad" }, member.errors.join(", "));
    return health(member.isLeader ? "leader" : member.isLearner ? "learner" : "follower");
  };
  const known = (value) => (value === undefined ? "" : String(value));
  return [
    element("h2", null, "Store"),
    store.problem ? element("p", { class: "bad" }, store.problem) : null,
    table(`${store.members.length} members, revision ${revision}`, [
      ["Member", (member) => member.name || member.id],
      ["State", role],
      ["Term", (member) => known(member.term), "number"],
      ["Applied", (member) => known(member.appliedIndex), "number"],
      ["Lag", (member) => (member.appliedIndex === undefined ? "" : String(Math.max(0, last - member.appliedIndex))), "number"],
      ["Data", (member) => (member.dbSize === undefined ? "" : bytes(member.dbSize)), "number"],
      ["Version", (member) => member.version ?? ""],
      ["Endpoints", (member) => (member.clientURLs ?? []).join(" ")],
    ], store.members),
  ].filter((one) => one !== null);
}

function drawNodes(state) {
  const pods = [...state.objects.pods.values()];
  const word = (node) => (condition(node, "Ready")?.status === "True" ? "Ready" : "NotReady");
  return table(`${state.objects.nodes.size} nodes`, [
    ["Node", (node) => node.metadata.name],
    ["Status", (node) => element("span", null, health(word(node)), node.spec.unschedulable ? ", cordoned" : "")],
    ["Pods", (node) => String(pods.filter((pod) => pod.spec.nodeName === node.metadata.name).length), "number"],
    ["Processors", (node) => node.status?.allocatable?.cpu ?? "", "number"],
    ["Memory", (node) => node.status?.allocatable?.memory ?? "", "number"],
    ["Address", (node) => (node.status?.addresses ?? []).find((one) => one.type === "InternalIP")?.address ?? ""],
    ["Version", (node) => node.status?.nodeInfo?.kubeletVersion ?? ""],
    ["Age", ageOf, "number"],
  ], sorted(state.objects.nodes.values()));
}

// Ready of wanted, for every kind of workload.
const WORKLOADS = {
  deployments: ["Deployment", (one) => [one.status?.readyReplicas ?? 0, one.spec.replicas ?? 1]],
  statefulsets: ["StatefulSet", (one) => [one.status?.readyReplicas ?? 0, one.spec.replicas ?? 1]],
  daemonsets: ["DaemonSet", (one) => [one.status?.numberReady ?? 0, one.status?.desiredNumberScheduled ?? 0]],
  jobs: ["Job", (one) => [one.status?.succeeded ?? 0, one.spec.completions ?? 1]],
  cronjobs: ["CronJob", (one) => [(one.status?.active ?? []).length, null]],
};

function workloadWord(kind, object, ready, wanted) {
  if (condition(object, "Failed")?.status === "True") return "Failed";
  if (kind === "CronJob") return object.spec.suspend ? "Suspended" : "Active";
  if (kind === "Job") return condition(object, "Complete")?.status === "True" ? "Complete" : "Running";
  return ready >= wanted ? "Ready" : "Progressing";
}

function podsOfWorkload(state, object) {
  const owners = new Set([object.metadata.uid]);
  for (const name of ["replicasets", "jobs"]) {
    for (const one of state.objects[name].values()) {
      if ((one.metadata.ownerReferences ?? []).some((owner) => owners.has(owner.uid))) owners.add(one.metadata.uid);
    }
  }
  return sorted(state.objects.pods.values()).filter((pod) => (pod.metadata.ownerReferences ?? []).some((owner) => owners.has(owner.uid)));
}

function drawWorkloads(state) {
  const rows = [];
  for (const [name, [kind, count]] of Object.entries(WORKLOADS)) {
    for (const object of inNamespace(state, name)) {
      if (name === "jobs" && (object.metadata.ownerReferences ?? []).length) continue;
      const [ready, wanted] = count(object);
      const text = wanted === null ? `${ready} active` : `${ready}/${wanted}`;
      rows.push({ metadata: object.metadata, kind, text, word: workloadWord(kind, object, ready, wanted) });
      for (const pod of podsOfWorkload(state, object)) {
        rows.push({ metadata: pod.metadata, kind: "Pod", text: podReady(pod), word: podWord(pod), pod, depth: 1 });
      }
    }
  }
  return [element("h2", null, "Workloads"), table("Each with its pods", [
    ["Name", (row) => row.metadata.name],
    ["Kind", (row) => row.kind],
    ["Namespace", (row) => row.metadata.namespace],
    ["Ready", (row) => row.text, "number"],
    ["Status", (row) => health(row.word)],
    ["Node", (row) => row.pod?.spec.nodeName ?? ""],
    ["Age", (row) => age(row.metadata.creationTimestamp), "number"],
    ["", (row) => (row.pod ? logsButton(row.pod) : "")],
  ], rows)];
}

function drawServices(state) {
  const ports = (service) => (service.spec.ports ?? []).map((port) => `${port.port}${port.nodePort ? `:${port.nodePort}` : ""}/${port.protocol ?? "TCP"}`).join(" ");
  return [element("h2", null, "Services"), table(`${inNamespace(state, "services").length} services`, [
    ["Service", (service) => service.metadata.name],
    ["Namespace", (service) => service.metadata.namespace],
    ["Type", (service) => service.spec.type ?? "ClusterIP"],
    ["Address", (service) => service.spec.clusterIP ?? service.spec.externalName ?? ""],
    ["Ports", ports],
    ["Age", ageOf, "number"],
  ], inNamespace(state, "services"))];
}

function drawEvents(state) {
  const time = (event) => event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp;
  const events = inNamespace(state, "events").sort((a, b) => Date.parse(time(b)) - Date.parse(time(a))).slice(0, 300);
  return [element("h2", null, "Events"), table("The newest first", [
    ["Last seen", (event) => age(time(event)), "number"],
    ["Type", (event) => element("span", { class: event.type === "Normal" ? "faint" : "bad" }, event.type ?? "")],
    ["Reason", (event) => event.reason ?? ""],
    ["Object", (event) => `${event.involvedObject.kind}/${event.involvedObject.name}`],
    ["Count", (event) => String(event.count ?? 1), "number"],
    ["Message", (event) => event.message ?? ""],
  ], events)];
}

export const views = {
  cluster: { title: "Cluster", draw: (state) => [...drawStore(state), element("h2", null, "Nodes"), drawNodes(state)] },
  workloads: { title: "Workloads", draw: drawWorkloads },
  pods: { title: "Pods", draw: (state) => [element("h2", null, "Pods"), table(`${inNamespace(state, "pods").length} pods`, podColumns, inNamespace(state, "pods"))] },
  services: { title: "Services", draw: drawServices },
  events: { title: "Events", draw: drawEvents },
};
