const tensor = new {{array}}(height * width * channels);
for (let i = 0; i < height * width; i++) {
  for (let channel = 0; channel < channels; channel++) {
@if gray
    const pixel = Math.round(0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]);
@else
    const pixel = data[4 * i + channel];
@end
@if nchw
    const place = channel * height * width + i; // channels first
@else
    const place = i * channels + channel;
@end
@if float_input raw_pixels
    tensor[place] = pixel; // 0 to 255: the model normalizes them itself
@end
@if float_input !raw_pixels
    tensor[place] = {{low}} + pixel * {{step}}; // {{low}} to {{high}}
@end
@if plain_bytes
    tensor[place] = pixel;
@end
@if shifted
    tensor[place] = pixel - 128;
@end
@if scaled
    const steps = Math.round(({{low}} + pixel * {{step}}) / {{input_scale}}) {{plus_input_zero_point}};
    tensor[place] = Math.min(Math.max(steps, {{input_min}}), {{input_max}});
@end
  }
}
@if nchw
const image = new ort.Tensor("{{input_type}}", tensor, [1, channels, height, width]);
@else
const image = new ort.Tensor("{{input_type}}", tensor, [1, height, width, channels]);
@end
