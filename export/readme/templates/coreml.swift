// Xcode: add {{file}}{{and_labels_file}} to the target. iOS 16, macOS 13. Xcode compiles the package, and makes a
// class of it, which apps may use in place of this one.
import CoreGraphics
import CoreML
import Foundation
import ImageIO
import Vision

final class Predictor {
  private let request: VNCoreMLRequest
@if labels !classifier
  private let labels: [String]
@end

  init() throws {
    let model = Bundle.main.url(forResource: "{{stem}}", withExtension: "mlmodelc")!
    request = VNCoreMLRequest(model: try VNCoreMLModel(for: MLModel(contentsOf: model)))
    request.imageCropAndScaleOption = .scaleFill  // to {{height}} rows and {{width}} columns, without keeping proportions
@if labels !classifier
    let file = Bundle.main.path(forResource: "{{labels_stem}}", ofType: "txt")!
    labels = try String(contentsOfFile: file, encoding: .utf8).components(separatedBy: "\n")
@end
  }

  /// Returns lines to show for an image; its colors and its size become those of the model.
  func predict(_ photo: CGImage, orientation: CGImagePropertyOrientation = .up) throws -> [String] {
    try VNImageRequestHandler(cgImage: photo, orientation: orientation).perform([request])
@if classifier
    let classes = request.results as! [VNClassificationObservation]  // the most probable first
    return classes.prefix(5).map { String(format: "%@: %.2f%%", $0.identifier, 100 * $0.confidence) }
@else
    let results = request.results as! [VNCoreMLFeatureValueObservation]
    let array = results[0].featureValue.multiArrayValue!  // {{output_shape}}
    return show((0..<array.count).map { array[$0].floatValue })
@end
  }
@if !classifier

  @include show.swift
@end
}
