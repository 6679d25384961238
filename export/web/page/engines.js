// Runtimes. Each is loaded from the bytes of a file, and then is a function from the values of an image, a Float32Array
// of height x width x channels, to the output: {values, shape}, maps with channels last. Normalization is inside the
// model.

const ORT = "onnxruntime-web", LITERT = "@litertjs/core", LITERT_UTILS = "@litertjs/wasm-utils";

/**
 * The runtimes for the files of a bundle, each {id, title, file, missing, load}: `load` downloads package and file and
 * resolves to the function; `missing` says why this browser cannot, else it is empty.
 */
export function enginesOf(bundle) {
  const gpu = navigator.gpu ? "" : "this browser has no WebGPU, or needs https or localhost for it";
  return [
    {id: "onnx-wasm", title: "ONNX Runtime, WebAssembly", ending: ".onnx", open: open(loadOnnx, "wasm")},
    {id: "onnx-webgpu", title: "ONNX Runtime, WebGPU", ending: ".onnx", open: open(loadOnnx, "webgpu"), missing: gpu},
    {id: "litert-wasm", title: "LiteRT, WebAssembly, int8", ending: ".tflite", open: open(loadLiteRt)},
  ].map(engine => ({missing: "", ...engine, file: bundle.files.find(file => file.name.endsWith(engine.ending))}))
   .filter(engine => engine.file)
   .map(engine => ({...engine, load: () => engine.open(bundle, engine.file)}));
}

function open(load, ...options) {
  return async (bundle, file) => load(bundle, await download(`${encodeURIComponent(file.name)}?v=${file.version}`), ...options);
}

async function download(address, options = {}) {
  const reply = await fetch(address, options);
  if (!reply.ok) throw new Error(`${address}: ${reply.status} ${reply.statusText}`);
  return new Uint8Array(await reply.arrayBuffer());
}

/** Address of a package: in the bundle, or in `node_modules` beside this page, or else at a CDN. */
async function folderOf(bundle, name) {
  const {version} = bundle.packages[name];
  if (bundle.vendored) return new URL(`packages/${name}/`, document.baseURI).href;
  const local = new URL(`node_modules/${name}/`, document.baseURI);
  const there = await fetch(new URL("package.json", local)).then(reply => reply.ok ? reply.json() : {}).catch(() => ({}));
  return there.version === version ? local.href : `https://cdn.jsdelivr.net/npm/${name}@${version}/`;
}

/** Downloads files of a package and compares their hashes; the browser, or the service worker, keeps them. */
async function fetchFiles(bundle, name, files) {
  const folder = await folderOf(bundle, name);
  await Promise.all(files.map(file => download(folder + file, {integrity: bundle.packages[name].files[file]})
    .catch(error => { throw new Error(`${name}: ${file} cannot be loaded, or is another than it should be: ${error.message}`); })));
  return folder;
}

async function loadOnnx(bundle, bytes, provider) {
  // The package implements WebGPU twice. In `ort.webgpu.min.mjs`, convolutions over 6, 9, 15 … channels give wrong
  // results (github.com/microsoft/onnxruntime/issues/29651), so this is the one in `ort.min.mjs`.
  const [main, wasm] = provider === "webgpu" ? ["ort", "ort-wasm-simd-threaded.jsep"] : ["ort.wasm", "ort-wasm-simd-threaded"];
  const files = [`dist/${main}.min.mjs`, `dist/${wasm}.mjs`, `dist/${wasm}.wasm`];
  const folder = await fetchFiles(bundle, ORT, files);
  const ort = await import(folder + files[0]);
  ort.env.wasm.wasmPaths = {mjs: folder + files[1], wasm: folder + files[2]};
  const session = await ort.InferenceSession.create(bytes, {executionProviders: [provider]});
  const [height, width, channels] = bundle.image_shape;
  const shape = session.inputMetadata[0].shape;
  const channelsFirst = shape[3] !== channels;
  return async image => {
    const values = channelsFirst ? transposed(image, height * width, channels) : image;
    const outputs = await session.run({[session.inputNames[0]]: new ort.Tensor("float32", values, shape)});
    const {data, dims} = outputs[session.outputNames[0]];
    const answer = floats(data);
    if (!channelsFirst || dims.length !== 4) return {values: answer, shape: [...dims]};
    const [batch, maps, rows, columns] = dims;
    return {values: transposed(answer, maps, rows * columns), shape: [batch, rows, columns, maps]};
  };
}

/** Whole numbers, of which 64-bit ones are BigInts, as floats; floats as they are. */
function floats(values) {
  return values instanceof Float32Array ? values : Float32Array.from(values, Number);
}

/** Transposes `values` from [rows][columns] to [columns][rows]. */
function transposed(values, rows, columns) {
  return values.map((_, index) => values[index % rows * columns + Math.floor(index / rows)]);
}

async function loadLiteRt(bundle, bytes) {
  await fetchFiles(bundle, LITERT_UTILS, ["dist/index.js"]);
  const folder = await fetchFiles(bundle, LITERT, ["dist/index.js"]);
  const litert = await import(`${folder}dist/index.js`);
  if (!litert.getGlobalLiteRtPromise()) {
    const name = `wasm/litert_wasm${await litert.supportsFeature("relaxedSimd") ? "" : "_compat"}_internal`;
    await fetchFiles(bundle, LITERT, [`${name}.js`, `${name}.wasm`]);
    litert.loadLiteRt(`${folder}${name}.js`);
  }
  await litert.getGlobalLiteRtPromise();
  const model = await litert.loadAndCompile(bytes, {accelerator: "wasm"});
  const [height, width, channels] = bundle.image_shape;
  return async values => {
    const image = new litert.Tensor(values, [1, height, width, channels]);
    const [output] = await model.run([image]);
    const answer = {values: floats(output.toTypedArray()).slice(), shape: [...output.type.layout.dimensions]};
    image.delete();
    output.delete();
    return answer;
  };
}
