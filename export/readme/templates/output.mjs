@if quantized_output
let output = Array.from(result.data, step => (step {{minus_output_zero_point}}) * {{output_scale}}); // real values
@else
let output = Array.from(result.data);
@end
@if !mask
@if softmax
const highest = Math.max(...output); // logits to probabilities
const exponentials = output.map(logit => Math.exp(logit - highest));
const total = exponentials.reduce((a, b) => a + b);
output = exponentials.map(value => value / total);
@end
@if sigmoid
output = output.map(logit => 1 / (1 + Math.exp(-logit))); // logits to probabilities
@end
@if single
output = [1 - output[0], output[0]]; // both classes
@end
@end

@if ranked
const best = Array.from(output.keys()).sort((a, b) => output[b] - output[a]).slice(0, 5);
const lines = best.map(index => `${labels[index]}: ${(100 * output[index]).toFixed(2)}%`);
@end
@if numbers
const lines = output.map((value, index) => `${labels[index]}: ${value.toPrecision(6)}`);
@end
@if mask
@if map_first
const [, classes, rows, columns] = result.dims; // channels first
const score = (pixel, index) => output[index * rows * columns + pixel];
@else
const [, rows, columns, classes] = result.dims;
const score = (pixel, index) => output[pixel * classes + index];
@end
const mask = new Uint16Array(rows * columns); // index of the class of each pixel
const counts = new Array(labels.length).fill(0);
for (let pixel = 0; pixel < mask.length; pixel++) {
@if single
  mask[pixel] = score(pixel, 0) > {{half}} ? 1 : 0;
@else
  for (let index = 1; index < classes; index++) {
    if (score(pixel, index) > score(pixel, mask[pixel])) mask[pixel] = index;
  }
@end
  counts[mask[pixel]]++;
}
const lines = labels.map((label, index) => `${label}: ${(100 * counts[index] / mask.length).toFixed(2)}%`)
  .filter((_, index) => counts[index]);
@end
@if vector
const lines = [`shape: ${result.dims.slice(1).join(" ")}`, ...output.slice(0, 8).map(value => value.toPrecision(6))];
@end
