// Keeps the page, the packages and the model, so that the page works without a network after the first visit.
// Its address ends with the version of the bundle, ?v=...: another export is another worker with a cache of its own.
const version = new URL(self.location).searchParams.get("v");
const PREFIX = `pocketzoo ${self.registration.scope} `;
const CACHE = PREFIX + version;
const PAGE = "index.html";
const PARTS = ["page.css", "page.js", "engines.js", "outputs.js", "pixels.js"].map(name => `page/${name}?v=${version}`);
/** Addresses that have one content forever, or that of this version of the bundle. */
const LASTING = [/\?v=[0-9a-f]{16}$/, /\/(packages|node_modules)\/(onnxruntime-web|@litertjs)\//,
  /^https:\/\/cdn\.jsdelivr\.net\/npm\/(onnxruntime-web|@litertjs)/];

self.addEventListener("install", event => event.waitUntil(keepPage().then(() => self.skipWaiting())));
self.addEventListener("activate", event => event.waitUntil(forgetOthers().then(() => self.clients.claim())));
self.addEventListener("fetch", event => {
  const {request} = event;
  if (request.method !== "GET") return;
  if (request.mode === "navigate" && isPage(request.url)) event.respondWith(newestPage(request));
  else if (request.mode !== "navigate" && LASTING.some(form => form.test(request.url))) event.respondWith(kept(request));
});

async function keepPage() {
  const cache = await caches.open(CACHE);
  const page = await fetch(PAGE, {cache: "reload"});
  if (!page.ok) throw new Error(`${PAGE}: ${page.status}`);
  await cache.put(PAGE, new Response(await page.blob(), {headers: page.headers})); // a copy: servers may have redirected
  await cache.addAll(PARTS.map(part => new Request(part, {cache: "reload"})));
}

async function forgetOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter(name => name.startsWith(PREFIX) && name !== CACHE).map(name => caches.delete(name)));
}

function isPage(address) {
  const path = new URL(address).pathname, folder = new URL(self.registration.scope).pathname;
  return path === folder || path === folder + PAGE;
}

/** From the network, so that a new export is seen at once; the kept one where there is no network. */
async function newestPage(request) {
  let reply;
  try {
    reply = await fetch(request);
  } catch (error) {
    return await (await caches.open(CACHE)).match(PAGE) ?? Promise.reject(error);
  }
  const isOther = reply.ok && !(await reply.clone().text()).includes("page/page.js?v=");
  if (isOther) await self.registration.unregister(); // another site has this address now, as it happens on localhost
  return reply;
}

async function kept(request) {
  const cache = await caches.open(CACHE);
  const known = await cache.match(request.url);
  if (known) return known;
  const reply = await fetch(request);
  if (reply.ok && reply.type !== "opaque") await cache.put(request.url, reply.clone()).catch(() => {}); // it may be full
  return reply;
}
