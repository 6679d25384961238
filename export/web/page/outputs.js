// Outputs in the form of the task, and on the page. Labels come from files of others: they are only ever text.

const MOST_ROWS = 5, MOST_VALUES = 50, FIRST_VALUES = 8, MOST_CLASSES = 12, APPLIES = 0.5;
/** Overlap from which two boxes of a class are the same object, as in `tasks/boxes.py`. */
const SAME = 0.6;
/** Largest values of usual pictures, and by what factor outputs may exceed them. */
const PEAKS = [1, 255, 65535], TOLERANCE = 1.1;
const MASK_OPACITY = 153, BACKGROUND_OPACITY = 38, DENSITY_OPACITY = 191, HEAT_OPACITY = 204; // of 255
/** Okabe and Ito's colors, which people who confuse red and green tell apart, too. */
const COLORS = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167]];

/** What the list of an output is called. */
export function headingOf({figure, activation, places}) {
  if (isOfBoxes({places})) return "Objects";
  if (figure === "probability") return activation === "sigmoid" ? "Labels" : "Predictions";
  return {share: "Segmentation", value: "Values", mean: "Picture", confidence: "Text", count: "Counts", "anomaly score": "Anomaly"}[figure] ?? "Output";
}

/**
 * Shows an output in a list.
 * @param {object} bundle
 * @param {{values: Float32Array, shape: number[]}} output of an engine
 * @param {HTMLUListElement} list
 * @param {HTMLCanvasElement} canvas with the image; masks are drawn over it, pictures in its place
 * @param {Float32Array?} previous values of the image before, if there was one
 * @returns {string} the result in words
 */
export function showOutput(bundle, output, list, canvas, previous) {
  const {values, shape} = decode(bundle, output);
  if (!values.every(Number.isFinite)) throw new Error("The output has values that are not numbers.");
  const show = isOfBoxes(bundle) ? showObjects : {probability: showClasses, share: showMap, value: showValues, mean: showPicture, confidence: showText, count: showCounts,
    "anomaly score": showAnomaly}[bundle.figure] ?? showVector;
  const rows = show(values, shape, bundle, {canvas, previous});
  list.replaceChildren(...rows.map(asItem));
  const drawn = {share: "The image, with the class of each pixel as a color over it", mean: "The picture made of the image",
    count: "The image, with the density of the objects in a color over it",
    "anomaly score": "The image, with the scores of anomalies from yellow to red over it"};
  const words = isOfBoxes(bundle) ? "The image, with a box around each object" : drawn[bundle.figure];
  canvas.setAttribute("aria-label", words ?? "The image");
  return rows.slice(0, 3).map(({label, figure}) => `${label}: ${figure}`).join(", ");
}

/** Outputs as a task has them: probabilities where the model has logits, and two for the single one of two classes. */
function decode({activation, from_logits: fromLogits}, {values, shape}) {
  if (!activation) return {values, shape};
  const size = shape.at(-1), single = activation === "softmax" && size === 1;
  if (fromLogits) values = activation === "sigmoid" || single ? values.map(value => 1 / (1 + Math.exp(-value))) : softmax(values, size);
  if (!single) return {values, shape};
  return {values: Float32Array.from({length: 2 * values.length}, (_, i) => i % 2 ? values[i >> 1] : 1 - values[i >> 1]),
    shape: [...shape.slice(0, -1), 2]};
}

function softmax(logits, size) {
  const result = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += size) {
    const row = logits.subarray(start, start + size), largest = row.reduce((a, b) => Math.max(a, b));
    const powers = row.map(value => Math.exp(value - largest)), total = powers.reduce((a, b) => a + b);
    result.set(powers.map(power => power / total), start);
  }
  return result;
}

// ---- Rows: {label, figure, part (0 to 1, shown as a meter), color, applies}

/** The most probable classes; of labels, of which any number applies, all that apply. */
function showClasses(values, shape, {labels, activation}) {
  const independent = activation === "sigmoid";
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
  const applying = independent ? order.filter(index => values[index] > APPLIES).length : 0;
  return order.slice(0, Math.max(MOST_ROWS, applying)).map((index, place) => {
    const applies = place < applying;
    return {label: `${applies ? "✓ " : ""}${labels[index]}`, figure: share(values[index]), part: values[index], applies};
  });
}

function showValues(values, shape, {labels}) {
  const rows = Array.from(values.slice(0, MOST_VALUES), (value, index) => ({label: labels[index], figure: number(value)}));
  return values.length > MOST_VALUES ? [...rows, {label: `and ${values.length - MOST_VALUES} more`, figure: ""}] : rows;
}

/** The text that the most probable symbol of each column reads as, and its probability. The last symbol is the blank. */
function showText(values, [, columns, count], {labels}) {
  const column = index => values.subarray(index * count, (index + 1) * count), path = [];
  for (let index = 0; index < columns; index++) path.push(column(index).indexOf(column(index).reduce((a, b) => Math.max(a, b))));
  const symbols = path.filter((symbol, index) => symbol !== path[index - 1] && symbol !== count - 1);
  const text = symbols.map(symbol => labels[symbol] === "space" ? " " : labels[symbol]).join("");
  const probability = probabilityOf(symbols, column, columns, count - 1);
  return [{label: text || "no text", figure: share(probability), part: probability}];
}

/** Sum over all paths that read as the symbols: the forward pass of connectionist temporal classification. */
function probabilityOf(symbols, column, columns, blank) {
  const states = symbols.flatMap(symbol => [blank, symbol]).concat(blank);
  let reached = states.map((symbol, state) => state < 2 ? column(0)[symbol] : 0);
  for (let index = 1; index < columns; index++) {
    const shares = column(index), before = reached;
    reached = states.map((symbol, state) => shares[symbol] * (before[state] + (before[state - 1] ?? 0)
      + (symbol !== blank && symbol !== states[state - 2] ? before[state - 2] ?? 0 : 0)));
  }
  return reached.at(-1) + (reached.at(-2) ?? 0);
}

/** Numbers without names: how similar two images are, and the first values. */
function showVector(values, shape, bundle, {previous}) {
  const rows = [{label: "Shape", figure: shape.slice(1).join(" × ") || "one value"}];
  if (bundle.compares_images) {
    rows.push({label: "Length", figure: number(Math.hypot(...values))});
    if (previous) rows.push({label: "Cosine similarity to the image before", figure: number(cosine(values, previous))});
  }
  rows.push(...Array.from(values.slice(0, FIRST_VALUES), (value, index) => ({label: `Value ${index}`, figure: number(value)})));
  return values.length > FIRST_VALUES ? [...rows, {label: `and ${values.length - FIRST_VALUES} more`, figure: ""}] : rows;
}

function cosine(a, b) {
  const dot = a.reduce((sum, value, index) => sum + value * b[index], 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}

/** Draws the most probable class of each pixel as a color over the image; the share of each class. */
function showMap(values, [, rows, columns, classes], {labels}, {canvas}) {
  const map = new ImageData(columns, rows), counts = new Map();
  for (let pixel = 0; pixel < rows * columns; pixel++) {
    const scores = values.subarray(pixel * classes, (pixel + 1) * classes);
    const likeliest = scores.indexOf(scores.reduce((a, b) => Math.max(a, b)));
    counts.set(likeliest, (counts.get(likeliest) ?? 0) + 1);
    map.data.set([...color(likeliest), isBackground(labels[likeliest]) ? BACKGROUND_OPACITY : MASK_OPACITY], pixel * 4);
  }
  const layer = new OffscreenCanvas(columns, rows);
  layer.getContext("2d").putImageData(map, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  const present = Array.from(counts).sort((a, b) => b[1] - a[1]);
  const shown = present.slice(0, MOST_CLASSES).map(([index, count]) => {
    const part = count / (rows * columns);
    return {label: labels[index], figure: share(part), part, color: color(index)};
  });
  return present.length > MOST_CLASSES ? [...shown, {label: `and ${present.length - MOST_CLASSES} more`, figure: ""}] : shown;
}

/** Draws a picture of one or three channels in place of the image; the mean of each channel. */
function showPicture(values, [, rows, columns, channels], {labels}, {canvas}) {
  const highest = values.reduce((a, b) => Math.max(a, b)), peak = PEAKS.find(each => highest <= each * TOLERANCE) ?? highest;
  const totals = new Array(channels).fill(0), drawn = new ImageData(columns, rows);
  for (let pixel = 0; pixel < rows * columns; pixel++) {
    const colors = values.subarray(pixel * channels, (pixel + 1) * channels);
    colors.forEach((value, index) => { totals[index] += value; });
    const shown = Array.from({length: 3}, (_, index) => colors[channels === 3 ? index : 0] * 255 / peak);
    drawn.data.set([...shown, 255], pixel * 4); // which rounds and clips them
  }
  if (channels === 1 || channels === 3) {
    const layer = new OffscreenCanvas(columns, rows), context = canvas.getContext("2d");
    layer.getContext("2d").putImageData(drawn, 0, 0);
    context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  }
  return totals.map((total, index) => ({label: labels[index], figure: number(total / (rows * columns))}));
}

/** Draws the density of each class in its color over the image, the highest most opaque; the sum of each class. */
function showCounts(values, [, rows, columns, classes], {labels}, {canvas}) {
  const totals = new Array(classes).fill(0), highest = values.reduce((a, b) => Math.max(a, b), 0);
  values.forEach((value, index) => { totals[index % classes] += value; });
  const most = highest * Math.max(1, 1 / totals.reduce((a, b) => a + b)); // fainter where there is less than one object
  const layer = new OffscreenCanvas(columns, rows), context = canvas.getContext("2d");
  for (let index = 0; highest > 0 && index < classes; index++) {
    const map = new ImageData(columns, rows);
    for (let pixel = 0; pixel < rows * columns; pixel++) {
      map.data.set([...color(index), DENSITY_OPACITY * values[pixel * classes + index] / most], pixel * 4);
    }
    layer.getContext("2d").putImageData(map, 0, 0);
    context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  }
  return totals.map((total, index) => ({label: labels[index], figure: total.toFixed(2), color: color(index)}));
}

/** Draws the scores over the image, from yellow to red and the more opaque the higher; the highest is that of the image. */
function showAnomaly(values, [, rows, columns], bundle, {canvas}) {
  const highest = values.reduce((a, b) => Math.max(a, b)), heat = new ImageData(columns, rows);
  values.forEach((score, pixel) => { heat.data.set([255, 255 * (1 - score), 0, HEAT_OPACITY * score], pixel * 4); });
  const layer = new OffscreenCanvas(columns, rows);
  layer.getContext("2d").putImageData(heat, 0, 0);
  canvas.getContext("2d").drawImage(layer, 0, 0, canvas.width, canvas.height);
  return [{label: highest >= APPLIES ? "defect" : "good", figure: highest.toFixed(3), part: highest}];
}

/** Whether rows of an output have four edges as their places. */
function isOfBoxes({places = []}) {
  return places.length === 4;
}

/** Draws a box around each object, the best of those that are the same; of each class and score. */
function showObjects(values, [, candidates, size], {labels}, {canvas}) {
  const found = [], kept = [];
  for (let start = 0; start < candidates * size; start += size) {
    for (let index = 0; index < size - 4; index++) {
      const score = values[start + 4 + index];
      if (score >= APPLIES) found.push({box: values.subarray(start, start + 4), index, score});
    }
  }
  found.sort((a, b) => b.score - a.score);
  for (const one of found) if (!kept.some(({box, index}) => index === one.index && overlap(box, one.box) >= SAME)) kept.push(one);
  const context = canvas.getContext("2d");
  context.lineWidth = 1 + Math.floor(Math.max(canvas.width, canvas.height) / 300);
  for (const {box: [left, top, right, bottom], index} of kept) {
    context.strokeStyle = `rgb(${color(index)})`;
    context.strokeRect(left * canvas.width, top * canvas.height, (right - left) * canvas.width, (bottom - top) * canvas.height);
  }
  const shown = kept.slice(0, MOST_CLASSES).map(({index, score}) => ({label: labels[index], figure: share(score), part: score, color: color(index)}));
  if (kept.length > MOST_CLASSES) shown.push({label: `and ${kept.length - MOST_CLASSES} more`, figure: ""});
  return shown.length ? shown : [{label: "no object", figure: ""}];
}

/** Intersection over union of two boxes. */
function overlap(a, b) {
  const side = (low, high) => Math.max(0, Math.min(a[high], b[high]) - Math.max(a[low], b[low]));
  const area = box => (box[2] - box[0]) * (box[3] - box[1]), shared = side(0, 2) * side(1, 3);
  return shared / Math.max(area(a) + area(b) - shared, 1e-12);
}

function isBackground(label) {
  return label.toLowerCase() === "background";
}

/** Of seven colors that are easily told apart, and for more classes others, far from those of their neighbors. */
function color(index) {
  const channel = shift => Math.round(128 + 127 * Math.cos(2.4 * index + shift)); // multiples of the golden angle
  return COLORS[index] ?? [0, 2.1, 4.2].map(channel);
}

function share(value) {
  return `${(100 * value).toFixed(1)} %`;
}

function number(value) {
  return value.toPrecision(4);
}

function asItem({label, figure, part, color: mark, applies}) {
  const item = document.createElement("li"), line = item.appendChild(document.createElement("div"));
  line.className = "line";
  item.classList.toggle("applies", applies === true);
  const name = line.appendChild(textOf(label, "label"));
  if (mark) {
    const patch = textOf("", "patch");
    patch.style.background = `rgb(${mark})`;
    name.prepend(patch);
  }
  line.append(textOf(figure, "figure"));
  if (part !== undefined) {
    const meter = item.appendChild(document.createElement("meter"));
    meter.value = part;
    meter.setAttribute("aria-label", label);
    meter.setAttribute("aria-valuetext", figure);
  }
  return item;
}

function textOf(text, className) {
  const span = document.createElement("span");
  span.className = className;
  span.textContent = text;
  return span;
}
