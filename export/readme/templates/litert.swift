// Xcode: File > Add Package Dependencies > https://github.com/google-ai-edge/LiteRT, from {{litert_swift}}, product LiteRT; iOS 15.
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

  @include show.swift

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
