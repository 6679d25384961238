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
