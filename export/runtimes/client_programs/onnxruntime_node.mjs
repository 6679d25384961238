// ONNX Runtime in Node.js: node onnxruntime_node.mjs PACKAGES MODEL FOLDER
// Runs the images in FOLDER/inputs.bin, which FOLDER/inputs.json describes; writes outputs.bin and facts.json there.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [packages, model, folder] = process.argv.slice(2);
const load = createRequire(import.meta.url);
const ort = load(path.join(packages, "onnxruntime-node"));
const { name, type, shape, count } = JSON.parse(fs.readFileSync(path.join(folder, "inputs.json")));
const Values = { float32: Float32Array, uint8: Uint8Array }[type];
const bytes = fs.readFileSync(path.join(folder, "inputs.bin"));
const values = new Values(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
const size = values.length / count;
const [output] = session.outputNames;
const rows = [];
const milliseconds = [];
let outputShape;
for (let row = 0; row < count; row++) {
  const image = new ort.Tensor(type, values.subarray(row * size, (row + 1) * size), shape);
  const start = performance.now();
  const result = (await session.run({ [name]: image }))[output];
  milliseconds.push(performance.now() - start);
  outputShape = result.dims;
  rows.push(Buffer.from(Float32Array.from(result.data).buffer));
}
fs.writeFileSync(path.join(folder, "outputs.bin"), Buffer.concat(rows));
const version = JSON.parse(fs.readFileSync(path.join(packages, "onnxruntime-node", "package.json"))).version;
fs.writeFileSync(path.join(folder, "facts.json"), JSON.stringify({ version, milliseconds, name: output, shape: outputShape }));
