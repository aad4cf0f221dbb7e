// The page's data and events. What is on screen is made by views.js from the state kept here: a list and a watch for
// each resource, the store's members asked every two seconds.
import { views, podOf } from "./views.js";

const RESOURCES = {
  nodes: "/api/v1/nodes",
  namespaces: "/api/v1/namespaces",
  pods: "/api/v1/pods",
  services: "/api/v1/services",
  events: "/api/v1/events",
  deployments: "/apis/apps/v1/deployments",
  replicasets: "/apis/apps/v1/replicasets",
  statefulsets: "/apis/apps/v1/statefulsets",
  daemonsets: "/apis/apps/v1/daemonsets",
  jobs: "/apis/batch/v1/jobs",
  cronjobs: "/apis/batch/v1/cronjobs",
};
const STORE_EVERY_MS = 2000;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 10000;
const LOG_CHARACTERS_MAX = 400000;
const EVENTS_MAX = 2000;

const byId = (id) => document.getElementById(id);
const state = { objects: {}, store: null, namespace: "", view: "cluster" };
for (const name of Object.keys(RESOURCES)) state.objects[name] = new Map();

let session = new AbortController(); // everything under way with this token
let drawIsPlanned = false;

class Refused extends Error {}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers, signal: session.signal, ...options });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const message = body.message || response.statusText || `status ${response.status}`;
  if (response.status === 401 || response.status === 403) throw new Refused(message);
  const error = new Error(message);
  error.isGone = response.status === 410;
  throw error;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Lines of a response as they come.
async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield* lines;
  }
  if (rest) yield rest;
}

function forgetOldEvents(events) {
  for (const uid of events.keys()) {
    if (events.size <= EVENTS_MAX) return;
    events.delete(uid);
  }
}

function take(name, event) {
  const objects = state.objects[name];
  const { uid } = event.object.metadata;
  if (event.type === "DELETED") objects.delete(uid);
  else objects.set(uid, event.object);
  if (name === "events") forgetOldEvents(objects);
}

async function list(name) {
  const body = await (await ask(RESOURCES[name])).json();
  state.objects[name].clear();
  for (const object of body.items) state.objects[name].set(object.metadata.uid, object);
  planDraw();
  return body.metadata.resourceVersion;
}

async function watch(name, from) {
  const query = `watch=1&allowWatchBookmarks=true&resourceVersion=${from}`;
  let revision = from;
  for await (const line of linesOf(await ask(`${RESOURCES[name]}?${query}`))) {
    const event = JSON.parse(line);
    if (event.type === "ERROR") {
      if (event.object.code === 410) return null;
      throw new Error(event.object.message);
    }
    revision = event.object.metadata.resourceVersion;
    if (event.type !== "BOOKMARK") {
      take(name, event);
      planDraw();
    }
  }
  return revision;
}

async function follow(name) {
  const { signal } = session;
  let revision = null;
  let delay = RETRY_MS_MIN;
  while (!signal.aborted) {
    try {
      if (revision === null) revision = await list(name);
      say("live");
      delay = RETRY_MS_MIN;
      revision = await watch(name, revision);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused) return refuse(error.message);
      say(`not connected: ${error.message}`);
      revision = null;
      await pause(delay);
      delay = Math.min(delay * 2, RETRY_MS_MAX);
    }
  }
}

async function followStore() {
  const { signal } = session;
  while (!signal.aborted) {
    try {
      state.store = await (await ask("/ui/store")).json();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused) return;
      state.store = { members: [], problem: error.message };
    }
    planDraw();
    await pause(STORE_EVERY_MS);
  }
}

function say(text) {
  const line = byId("state");
  if (line.textContent !== text) line.textContent = text;
}

function start() {
  session.abort();
  session = new AbortController();
  byId("sign-in").hidden = true;
  byId("sign-out").hidden = !sessionStorage.getItem("token");
  for (const name of Object.keys(RESOURCES)) follow(name);
  followStore();
}

function refuse(message) {
  session.abort();
  const had = sessionStorage.getItem("token");
  sessionStorage.removeItem("token");
  for (const objects of Object.values(state.objects)) objects.clear();
  state.store = null;
  byId("sign-in-problem").textContent = had ? message : "";
  byId("sign-in").hidden = false;
  byId("sign-out").hidden = true;
  say("signed out");
  planDraw();
  byId("token").focus();
}

function planDraw() {
  if (drawIsPlanned) return;
  drawIsPlanned = true;
  setTimeout(() => {
    drawIsPlanned = false;
    draw();
  }, 100);
}

function drawNamespaces() {
  const select = byId("namespace");
  const names = [...state.objects.namespaces.values()].map((object) => object.metadata.name).sort();
  const shown = [...select.options].slice(1).map((option) => option.value);
  if (names.join() === shown.join()) return;
  while (select.options.length > 1) select.remove(1);
  for (const name of names) select.add(new Option(name, name));
  select.value = names.includes(state.namespace) ? state.namespace : "";
  state.namespace = select.value;
}

function draw() {
  for (const link of byId("tabs").querySelectorAll("a")) {
    if (link.hash === `#${state.view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  drawNamespaces();
  const place = byId("view");
  const focused = document.activeElement?.dataset?.key;
  place.replaceChildren(...(byId("sign-in").hidden ? views[state.view].draw(state) : []));
  if (focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

// Logs of one pod, followed while the dialog is open.
let logs = null;

async function showLogs(pod, container) {
  logs?.abort();
  logs = new AbortController();
  const { signal } = logs;
  const text = byId("logs-text");
  text.textContent = "";
  const query = new URLSearchParams({ follow: "true", tailLines: "500", container });
  const { namespace, name } = pod.metadata;
  try {
    const response = await ask(`/api/v1/namespaces/${namespace}/pods/${name}/log?${query}`, { signal });
    for await (const line of linesOf(response)) {
      const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 40;
      text.append(`${line}\n`);
      if (text.textContent.length > LOG_CHARACTERS_MAX) text.textContent = text.textContent.slice(-LOG_CHARACTERS_MAX / 2);
      if (atEnd) text.scrollTop = text.scrollHeight;
    }
    text.append("— the end —\n");
  } catch (error) {
    if (!signal.aborted) text.append(`${error.message}\n`);
  }
}

function openLogs(uid) {
  const pod = podOf(state, uid);
  if (!pod) return;
  const select = byId("logs-container");
  const containers = [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])];
  select.replaceChildren(...containers.map(({ name }) => new Option(name, name)));
  select.onchange = () => showLogs(pod, select.value);
  byId("logs-title").textContent = `Logs of ${pod.metadata.namespace}/${pod.metadata.name}`;
  byId("logs").showModal();
  showLogs(pod, select.value);
}

function readHash() {
  const name = location.hash.slice(1);
  state.view = name in views ? name : "cluster";
  document.title = `Coracle: ${views[state.view].title}`;
  draw();
}

for (const [name, { title }] of Object.entries(views)) {
  const link = Object.assign(document.createElement("a"), { href: `#${name}`, textContent: title });
  const item = document.createElement("li");
  item.append(link);
  byId("tabs").append(item);
}
window.addEventListener("hashchange", readHash);
byId("namespace").addEventListener("change", (event) => {
  state.namespace = event.target.value;
  draw();
});
byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token").value.trim());
  byId("token").value = "";
  start();
});
byId("sign-out").addEventListener("click", () => refuse(""));
byId("view").addEventListener("click", (event) => {
  const { logs: uid } = event.target.dataset;
  if (uid) openLogs(uid);
});
byId("logs-close").addEventListener("click", () => byId("logs").close());
byId("logs").addEventListener("close", () => logs?.abort());
readHash();
start();
