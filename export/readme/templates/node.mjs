// npm install --ignore-scripts onnxruntime-node@{{onnxruntime_node}} sharp@{{sharp}}   (a script would download CUDA)
// node {{name}}.mjs photo.jpg, with {{file}}{{and_labels}} in the current directory
@if labels
import {readFile} from "node:fs/promises";
@end
import * as ort from "onnxruntime-node";
import sharp from "sharp";

@if labels
const labels = (await readFile("{{labels}}", "utf8")).split("\n");
@end
const [photo] = process.argv.slice(2);
if (!photo) end("usage: node {{name}}.mjs photo.jpg");
// {{colors}}, {{width}} x {{height}}; transparent pixels become white.
const [height, width, channels] = [{{height}}, {{width}}, {{channels}}];
const {data} = await sharp(photo).autoOrient().flatten({background: "white"}).toColourspace("srgb")
  .resize(width, height, {fit: "fill", kernel: "linear", fastShrinkOnLoad: false})
  .ensureAlpha().raw().toBuffer({resolveWithObject: true})
  .catch(error => end(`${photo} cannot be read: ${error.message}`));
@include tensor.mjs
const session = await ort.InferenceSession.create("{{file}}");
const {[session.outputNames[0]]: result} = await session.run({[session.inputNames[0]]: image});
@include output.mjs
console.log(lines.join("\n"));

function end(message) {
  console.error(message);
  process.exit(1);
}
