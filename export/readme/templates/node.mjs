// npm install --ignore-scripts onnxruntime-node@1.30.0 sharp@0.35.5   (a script would download CUDA)
// node {{name}}.mjs photo.jpg, with {{file}}{{and_labels}} in the current directory
@if labels
import {readFile} from "node:fs/promises";
@end
import * as ort from "onnxruntime-node";
import sharp from "sharp";

@if labels
const labels = (await readFile("{{labels}}", "utf8")).split("\n");
@end
// {{colors}}, {{width}} x {{height}}; transparent pixels become white.
const [height, width, channels] = [{{height}}, {{width}}, {{channels}}];
const {data} = await sharp(process.argv[2]).autoOrient().flatten({background: "white"}).toColourspace("srgb")
  .resize(width, height, {fit: "fill", kernel: "linear", fastShrinkOnLoad: false})
  .ensureAlpha().raw().toBuffer({resolveWithObject: true});
@include tensor.mjs
const session = await ort.InferenceSession.create("{{file}}");
const {[session.outputNames[0]]: result} = await session.run({[session.inputNames[0]]: image});
@include output.mjs
console.log(lines.join("\n"));
