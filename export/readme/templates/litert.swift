// Xcode: File > Add Package Dependencies > https://github.com/google-ai-edge/LiteRT, from 2.2.0, product LiteRT; iOS 15.
// Add {{file}}{{and_labels}} to the target, so that they are in its bundle.
import Foundation
import LiteRT
import UIKit

final class Predictor {
  private let (width, height, channels) = ({{width}}, {{height}}, {{channels}})  // {{colors}}
  private let environment: Environment
  private let model: CompiledModel
@if labels
  private let labels: [String]
@end

  init() throws {
    environment = try Environment()
    let options = try Options()
    try options.setHardwareAccelerators([.cpu])
    let path = Bundle.main.path(forResource: "{{stem}}", ofType: "tflite")!
    model = try CompiledModel(filePath: path, environment: environment, options: options)
@if labels
    let file = Bundle.main.path(forResource: "{{labels_stem}}", ofType: "txt")!
    labels = try String(contentsOfFile: file, encoding: .utf8).components(separatedBy: "\n")
@end
  }

  /// Returns lines to show for an image, such as `UIImage(contentsOfFile:)`.
  func predict(_ photo: UIImage) throws -> [String] {
    let inputs = try model.createInputBuffers()
    try inputs[0].write(tensor(of: photo))
    let outputs = try model.run(inputs: inputs)
    let output: [{{output_swift}}] = try outputs[0].read()
@if quantized_output
    return show(output.map { (Float($0) {{minus_output_zero_point}}) * {{output_scale}} })  // real values
@else
    return show(output)
@end
  }

  private func tensor(of photo: UIImage) -> [{{input_swift}}] {
    let colors = pixels(of: photo)
    var tensor: [{{input_swift}}] = []
    tensor.reserveCapacity(width * height * channels)
    for i in stride(from: 0, to: colors.count, by: 4) {
@if gray
      let gray = 0.299 * Float(colors[i]) + 0.587 * Float(colors[i + 1]) + 0.114 * Float(colors[i + 2])
      tensor.append(input(gray.rounded()))
@else
      for channel in 0..<3 { tensor.append(input(Float(colors[i + channel]))) }
@end
    }
    return tensor
  }

  /// Converts a pixel value from 0 to 255 to what the model takes.
  private func input(_ pixel: Float) -> {{input_swift}} {
@if float_input raw_pixels
    return pixel  // the model normalizes it itself
@end
@if float_input !raw_pixels
    return {{low}} + pixel * {{step}}  // {{low}} to {{high}}
@end
@if plain_bytes
    return {{input_swift}}(pixel)
@end
@if shifted
    return {{input_swift}}(pixel - 128)
@end
@if scaled
    let steps = (({{low}} + pixel * {{step}}) / {{input_scale}}).rounded() {{plus_input_zero_point}}
    return {{input_swift}}(min(max(steps, {{input_min}}), {{input_max}}))
@end
  }

@if ranked
  private func show(_ output: [Float]) -> [String] {
@if softmax
    let highest = output.max()!  // logits to probabilities
    let exponentials = output.map { exp($0 - highest) }
    let total = exponentials.reduce(0, +)
    let classes = exponentials.map { $0 / total }
@end
@if sigmoid !single
    let classes = output.map { 1 / (1 + exp(-$0)) }  // logits to probabilities
@end
@if sigmoid single
    let probability = 1 / (1 + exp(-output[0]))  // a logit to the probability of the second class
    let classes = [1 - probability, probability]
@end
@if !sigmoid single
    let classes = [1 - output[0], output[0]]  // the output is the probability of the second class
@end
@if !softmax !sigmoid !single
    let classes = output  // probabilities
@end
    let best = classes.indices.sorted { classes[$0] > classes[$1] }.prefix(5)
    return best.map { String(format: "%@: %.2f%%", labels[$0], 100 * classes[$0]) }
  }
@end
@if numbers
  private func show(_ output: [Float]) -> [String] {
    return zip(labels, output).map { "\($0): \($1)" }
  }
@end
@if mask
  private func show(_ output: [Float]) -> [String] {
    // The index of the class of each pixel, row by row: {{output_height}} x {{output_width}}.
@if single
    let mask = output.map { $0 > {{half}} ? 1 : 0 }
@else
    let classes = {{outputs}}
    let mask = (0..<output.count / classes).map { pixel in
      (0..<classes).max { output[pixel * classes + $0] < output[pixel * classes + $1] }!
    }
@end
    return labels.indices.map { index in
      let share = Float(mask.filter { $0 == index }.count) / Float(mask.count)
      return String(format: "%@: %.2f%%", labels[index], 100 * share)
    }
  }
@end
@if vector
  private func show(_ output: [Float]) -> [String] {
    return output.prefix(8).map { "\($0)" }
  }
@end

  /// Red, green, blue and a fourth byte of each pixel of the upright image, resized without keeping its proportions.
  private func pixels(of photo: UIImage) -> [UInt8] {
    var bytes = [UInt8](repeating: 255, count: width * height * 4)  // transparent pixels become white
    bytes.withUnsafeMutableBytes { buffer in
      let context = CGContext(
        data: buffer.baseAddress, width: width, height: height, bitsPerComponent: 8, bytesPerRow: width * 4,
        space: CGColorSpace(name: CGColorSpace.sRGB)!, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)!
      context.interpolationQuality = .high
      context.translateBy(x: 0, y: CGFloat(height))
      context.scaleBy(x: 1, y: -1)  // UIKit counts rows from the top
      UIGraphicsPushContext(context)
      photo.draw(in: CGRect(x: 0, y: 0, width: width, height: height))
      UIGraphicsPopContext()
    }
    return bytes
  }
}
