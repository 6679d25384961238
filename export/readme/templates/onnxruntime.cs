// dotnet add package Microsoft.ML.OnnxRuntime --version {{onnxruntime_nuget}}
// dotnet add package SkiaSharp --version {{skiasharp}}
// dotnet add package SkiaSharp.NativeAssets.Linux --version {{skiasharp}}   (on Linux)
// dotnet run photo.jpg, with {{file}}{{and_labels}} in the current directory
using System.Globalization;
using Microsoft.ML.OnnxRuntime;
using SkiaSharp;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
const int Height = {{height}}, Width = {{width}}, Channels = {{channels}};
@if labels
string[] labels = File.ReadAllText("{{labels}}").Split('\n');
@end

// {{colors}}; transparent pixels become white. SkiaSharp does not rotate a photo by its EXIF tag.
using SKImage photo = SKImage.FromEncodedData(args[0]);
using var image = new SKBitmap(new SKImageInfo(Width, Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
using (var canvas = new SKCanvas(image))
{
    canvas.Clear(SKColors.White);
    canvas.DrawImage(photo, new SKRect(0, 0, Width, Height), new SKSamplingOptions(SKFilterMode.Linear, SKMipmapMode.Linear));
}
var tensor = new {{input_cs}}[Channels * Height * Width];
for (int i = 0; i < Height * Width; i++)
{
    SKColor color = image.GetPixel(i % Width, i / Width);
@if gray
    float[] pixels = { MathF.Round(0.299f * color.Red + 0.587f * color.Green + 0.114f * color.Blue) };
@else
    float[] pixels = { color.Red, color.Green, color.Blue };
@end
    for (int channel = 0; channel < Channels; channel++)
    {
        float pixel = pixels[channel];
@if nchw
        int place = channel * Height * Width + i; // channels first
@else
        int place = i * Channels + channel;
@end
@if float_input raw_pixels
        tensor[place] = pixel; // 0 to 255: the model normalizes them itself
@end
@if float_input !raw_pixels
        tensor[place] = {{low}}f + pixel * {{step}}f; // {{low}} to {{high}}
@end
@if plain_bytes
        tensor[place] = ({{input_cs}})pixel;
@end
@if shifted
        tensor[place] = ({{input_cs}})(pixel - 128);
@end
@if scaled
        float steps = MathF.Round(({{low}}f + pixel * {{step}}f) / {{input_scale}}f) {{plus_input_zero_point}};
        tensor[place] = ({{input_cs}})Math.Clamp(steps, {{input_min}}, {{input_max}});
@end
    }
}

using var session = new InferenceSession("{{file}}");
@if nchw
long[] shape = { 1, Channels, Height, Width };
@else
long[] shape = { 1, Height, Width, Channels };
@end
using OrtValue input = OrtValue.CreateTensorValueFromMemory(tensor, shape);
using var options = new RunOptions();
using var results = session.Run(options, new Dictionary<string, OrtValue> { ["{{input_name}}"] = input }, session.OutputNames);
@if quantized_output
float[] output = results[0].GetTensorDataAsSpan<{{output_cs}}>().ToArray()
    .Select(step => (step {{minus_output_zero_point}}) * {{output_scale}}f).ToArray();
@else
float[] output = results[0].GetTensorDataAsSpan<float>().ToArray();
@end
@if ranked
@if softmax
float highest = output.Max(); // logits to probabilities
output = output.Select(logit => MathF.Exp(logit - highest)).ToArray();
float total = output.Sum();
output = output.Select(value => value / total).ToArray();
@end
@if sigmoid
output = output.Select(logit => 1 / (1 + MathF.Exp(-logit))).ToArray(); // logits to probabilities
@end
@if single
output = new[] { 1 - output[0], output[0] }; // both classes
@end
foreach (int index in Enumerable.Range(0, output.Length).OrderByDescending(index => output[index]).Take(5))
    Console.WriteLine($"{labels[index]}: {100 * output[index]:F2}%");
@end
@if numbers
for (int index = 0; index < output.Length; index++) Console.WriteLine($"{labels[index]}: {output[index]:G6}");
@end
@if mask
const int Classes = {{outputs}}, Pixels = {{output_height}} * {{output_width}};
@if map_first
float Score(int pixel, int index) => output[index * Pixels + pixel]; // channels first
@else
float Score(int pixel, int index) => output[pixel * Classes + index];
@end
var mask = new int[Pixels]; // the index of the class of each pixel, row by row
@if single
for (int pixel = 0; pixel < Pixels; pixel++) mask[pixel] = Score(pixel, 0) > {{half}}f ? 1 : 0;
@else
for (int pixel = 0; pixel < Pixels; pixel++)
    mask[pixel] = Enumerable.Range(0, Classes).MaxBy(index => Score(pixel, index));
@end
foreach (var group in mask.GroupBy(index => index))
    Console.WriteLine($"{labels[group.Key]}: {100f * group.Count() / Pixels:F2}%");
@end
@if vector
Console.WriteLine(string.Join("\n", output.Take(8)));
@end
