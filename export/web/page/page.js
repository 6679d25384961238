// The page of a bundle: an image from a file, the clipboard, a drop or the camera, through the model, to the output.
import {enginesOf} from "./engines.js";
import {headingOf, showOutput} from "./outputs.js";
import {inRange, pixelsOf, sizeOf} from "./pixels.js";

const bundle = JSON.parse(document.getElementById("bundle").textContent);
const ENGINES = enginesOf(bundle);
const NO_CAMERA = "The camera needs https or localhost.";
const $ = id => document.getElementById(id);

let running; // promise of the selected engine
let picture = null; // the displayed ImageBitmap, or the camera's <video>
let previous = null; // values of the output for the image before
let times = [];
let last = Promise.resolve(); // an engine processes one image at a time

function choose(engine) {
  times = [];
  previous = null;
  $("timing").textContent = "";
  say(`Loading ${engine.file.name} …`);
  running = offline.then(engine.load);
  const loading = running;
  running.then(isKept).then(kept => running === loading && say(kept ? "Ready, also without a network." : "Ready."),
    error => running === loading && fail(error));
  if (picture) look().catch(fail);
}

/** Waits for the service worker, so that it keeps what is loaded from now on; whether there is one. */
async function keepOffline() {
  if (!navigator.serviceWorker) return false; // neither https nor localhost
  try {
    const address = `sw.js?v=${bundle.version}`;
    const registration = await navigator.serviceWorker.register(address, {updateViaCache: "none"});
    const worker = registration.installing ?? registration.waiting;
    if (worker) await new Promise(resolve => {
      const settle = () => ["activated", "redundant"].includes(worker.state) && resolve();
      worker.addEventListener("statechange", settle);
      settle();
    });
    return registration.active !== null && navigator.serviceWorker.controller !== null;
  } catch {
    return false; // the browser does not permit it, as in some private windows: the page works, with a network
  }
}

/** Whether the service worker has all that was loaded to run the model: storage may be full. */
async function isKept() {
  if (!await offline) return false;
  const loaded = performance.getEntriesByType("resource").map(entry => entry.name);
  const needed = loaded.filter(address => /\.(js|mjs|wasm|onnx|tflite)(\?v=\w+)?$/.test(address));
  const found = await Promise.all(needed.map(address => caches.match(address)));
  return found.every(reply => reply !== undefined);
}

function draw() {
  const canvas = $("shown");
  [canvas.width, canvas.height] = sizeOf(picture);
  canvas.getContext("2d").drawImage(picture, 0, 0);
  canvas.classList.toggle("tiny", Math.max(canvas.width, canvas.height) < 128);
  canvas.hidden = false;
  $("hint").hidden = true;
  $("stage").classList.add("filled");
}

function look() {
  last = last.catch(() => {}).then(lookOnce);
  return last;
}

async function lookOnce() {
  const run = await running;
  if (!picture) return; // the camera was stopped in the meantime
  draw();
  const values = valuesOf(picture);
  const start = performance.now();
  const output = await run(values);
  times = [...times, performance.now() - start].slice(-30);
  const words = showOutput(bundle, output, $("output"), $("shown"), previous);
  previous = output.values;
  if (!isCamera()) $("spoken").textContent = words;
  showTime();
}

function valuesOf(source) {
  return inRange(pixelsOf(source, bundle.image_shape), bundle.pixel_range);
}

function showTime() {
  const median = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)];
  const figure = document.createElement("b");
  figure.textContent = median < 0.1 ? "< 0.1 ms" : `${median.toFixed(median < 10 ? 1 : 0)} ms`;
  const of = times.length > 1 ? `an image, median of the last ${times.length}` : "for this image, the first one";
  $("timing").replaceChildren(figure, ` ${of}`);
}

async function show(blob) {
  stopCamera();
  picture = await createImageBitmap(blob).catch(() => { throw new Error("This browser cannot read the file as an image."); });
  draw();
  await look();
  if ($("status").classList.contains("error")) say("");
}

async function startCamera() {
  const video = document.createElement("video");
  video.playsInline = video.muted = true;
  video.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}}).catch(explainCamera);
  await video.play();
  picture = video;
  $("camera").textContent = "Stop the camera";
  while (picture === video) {
    await look();
    await new Promise(requestAnimationFrame);
  }
}

function explainCamera(error) {
  throw new Error({
    NotAllowedError: "The camera was not permitted: permit it in the browser's settings of this page, or choose an image.",
    NotFoundError: "There is no camera: choose an image.",
    NotReadableError: "The camera is in use by another program.",
  }[error.name] ?? `The camera cannot be used: ${error.message}`);
}

function isCamera() {
  return picture instanceof HTMLVideoElement;
}

function stopCamera() {
  if (!isCamera()) return;
  picture.srcObject.getTracks().forEach(track => track.stop());
  picture = null;
  $("camera").textContent = "Use the camera";
}

function say(text, error = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", error);
}

function fail(error) {
  say(error.message ?? String(error), true);
}

function describeModel() {
  const [height, width, channels] = bundle.image_shape;
  $("name").textContent = bundle.model;
  $("about").textContent = `${bundle.task.replace("_", "-")}, ${width} × ${height} ${channels === 1 ? "grayscale" : "RGB"}. `
    + "It runs in this browser: images do not leave this device.";
  $("heading").textContent = headingOf(bundle);
  for (const engine of ENGINES) {
    const label = $("engines").appendChild(document.createElement("label"));
    const radio = label.appendChild(document.createElement("input"));
    Object.assign(radio, {type: "radio", name: "engine", id: engine.id, disabled: engine.missing !== ""});
    radio.addEventListener("change", () => choose(engine));
    const size = document.createElement("small");
    size.textContent = engine.missing || sizeInWords(engine.file.bytes);
    size.classList.toggle("missing", engine.missing !== "");
    const title = document.createElement("span");
    title.textContent = engine.title;
    label.append(title, size);
  }
}

function sizeInWords(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

function listen() {
  const showFirst = files => files[0] && show(files[0]).catch(fail);
  $("file").addEventListener("change", event => showFirst(event.target.files));
  document.addEventListener("paste", event => showFirst(event.clipboardData.files));
  const stage = $("stage");
  stage.addEventListener("dragover", event => { event.preventDefault(); stage.classList.add("over"); });
  stage.addEventListener("dragleave", () => stage.classList.remove("over"));
  stage.addEventListener("drop", event => {
    event.preventDefault();
    stage.classList.remove("over");
    showFirst(event.dataTransfer.files);
  });
  const missing = !window.isSecureContext ? NO_CAMERA : navigator.mediaDevices ? "" : "This browser has no camera.";
  $("no-camera").textContent = missing;
  $("no-camera").hidden = missing === "";
  $("camera").disabled = missing !== "";
  $("camera").addEventListener("click", () => isCamera() ? stopCamera()
    : startCamera().catch(error => { stopCamera(); fail(error); }));
}

describeModel();
listen();
const offline = keepOffline();
const asked = ENGINES.find(engine => `#${engine.id}` === location.hash); // index.html#onnx-webgpu
const first = asked ?? ENGINES.find(engine => !engine.missing);
$(first.id).checked = true;
choose(first);
// For the browser's console, and for validation, which runs the page unchanged.
window.pocketzoo = {show, pixelsOf: source => pixelsOf(source, bundle.image_shape), run: async values => (await running)(values)};
