// Images as values of the model: as `pocketzoo predict` reads them with Pillow, converted to grayscale or RGB, then
// resized with an antialiased bilinear filter, without keeping the aspect ratio. A canvas' own resizing differs by more
// than the error of quantization. A difference of one or two levels remains: browsers apply color profiles and decode
// JPEG themselves.

/**
 * The pixels of a picture or video, 0 to 255, as a Float32Array of height x width x channels; upright, on white.
 * @param {ImageBitmap | HTMLVideoElement} picture
 */
export function pixelsOf(picture, [height, width, channels]) {
  const [columns, rows] = sizeOf(picture);
  const canvas = new OffscreenCanvas(columns, rows);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "white"; // background of transparent pixels
  context.fillRect(0, 0, columns, rows);
  context.drawImage(picture, 0, 0);
  const colors = withoutAlpha(context.getImageData(0, 0, columns, rows).data, channels);
  const narrow = resample(colors, rows, columns, channels, width);
  return Float32Array.from(resample(narrow, 1, rows, width * channels, height));
}

/** Columns and rows. */
export function sizeOf(picture) {
  return [picture.videoWidth ?? picture.width, picture.videoHeight ?? picture.height];
}

/** Pixels in the range of values that the model takes. */
export function inRange(pixels, [low, high]) {
  return low === 0 && high === 255 ? pixels : pixels.map(pixel => low + pixel * Math.fround((high - low) / 255));
}

function withoutAlpha(rgba, channels) {
  const values = new Uint8ClampedArray(rgba.length / 4 * channels);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const [red, green, blue] = [rgba[from], rgba[from + 1], rgba[from + 2]];
    if (channels === 1) values[to++] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16; // ITU-R 601
    else { values[to++] = red; values[to++] = green; values[to++] = blue; }
  }
  return values;
}

/** Resizes `values` from [outer][size][inner] to [outer][length][inner] with a triangle filter. */
function resample(values, outer, size, inner, length) {
  const result = new Uint8ClampedArray(outer * length * inner); // rounds on assignment
  const scale = size / length, reach = Math.max(scale, 1);
  for (let i = 0; i < length; i++) {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const end = Math.min(size, Math.floor(centre + reach + 0.5));
    const weights = Array.from({length: end - first}, (_, n) => 1 - Math.abs(first + n + 0.5 - centre) / reach)
      .map(weight => Math.max(0, weight));
    const total = weights.reduce((a, b) => a + b);
    for (let o = 0; o < outer; o++) {
      for (let c = 0; c < inner; c++) {
        let sum = 0;
        for (let n = 0; n < weights.length; n++) sum += weights[n] * values[(o * size + first + n) * inner + c];
        result[(o * length + i) * inner + c] = sum / total;
      }
    }
  }
  return result;
}
