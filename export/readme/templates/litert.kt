// app/build.gradle.kts, with minSdk 28:
//   dependencies { implementation("com.google.ai.edge.litert:litert:{{litert_android}}") }
//   android { androidResources { noCompress += "tflite" } }
// Put {{file}}{{and_labels}} into app/src/main/assets.
import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.ImageDecoder
import android.graphics.Paint
import android.graphics.Rect
import android.net.Uri
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
@if logits
import kotlin.math.exp
@end
@if rounded
import kotlin.math.roundToInt
@end

class Predictor(private val context: Context) : AutoCloseable {
  private val model =
    CompiledModel.create(context.assets, "{{file}}", CompiledModel.Options(Accelerator.CPU))
  private val inputs = model.createInputBuffers()
  private val outputs = model.createOutputBuffers()
@if labels
  private val labels =
    context.assets.open("{{labels}}").bufferedReader().use { it.readText() }.split("\n")
@end

  /** Decodes an image, upright as its EXIF tag says, and returns lines to show. */
  fun predict(photo: Uri): List<String> {
    val source = ImageDecoder.createSource(context.contentResolver, photo)
    return predict(ImageDecoder.decodeBitmap(source) { decoder, _, _ ->
      decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
    })
  }

  fun predict(photo: Bitmap): List<String> {
    val colors = IntArray(WIDTH * HEIGHT)
    resize(photo).getPixels(colors, 0, WIDTH, 0, 0, WIDTH, HEIGHT)
@if float_input
    val tensor = FloatArray(WIDTH * HEIGHT * CHANNELS)
@else
    val tensor = ByteArray(WIDTH * HEIGHT * CHANNELS)
@end
    for (i in colors.indices) {
      val (red, green, blue) = listOf(Color.red(colors[i]), Color.green(colors[i]), Color.blue(colors[i]))
@if gray
      tensor[i] = toInput((0.299f * red + 0.587f * green + 0.114f * blue).roundToInt())
@else
      tensor[3 * i] = toInput(red)
      tensor[3 * i + 1] = toInput(green)
      tensor[3 * i + 2] = toInput(blue)
@end
    }
@if float_input
    inputs[0].writeFloat(tensor)
@else
    inputs[0].writeInt8(tensor) // bytes of {{input_type}}
@end
    model.run(inputs, outputs)
@if int8_output
    val output = outputs[0].readInt8().map { (it {{minus_output_zero_point}}) * {{output_scale}}f }
@end
@if uint8_output
    val output = outputs[0].readInt8().map { (it.toUByte().toInt() {{minus_output_zero_point}}) * {{output_scale}}f }
@end
@if !quantized_output
    val output = outputs[0].readFloat().toList()
@end
    return show(output)
  }

  /** Converts a pixel value from 0 to 255 to what the model takes. */
@if float_input raw_pixels
  private fun toInput(pixel: Int): Float = pixel.toFloat() // the model normalizes it itself
@end
@if float_input !raw_pixels
  private fun toInput(pixel: Int): Float = {{low}}f + pixel * {{step}}f // {{low}} to {{high}}
@end
@if plain_bytes
  private fun toInput(pixel: Int): Byte = pixel.toByte()
@end
@if shifted
  private fun toInput(pixel: Int): Byte = (pixel - 128).toByte()
@end
@if scaled
  private fun toInput(pixel: Int): Byte =
    ((({{low}}f + pixel * {{step}}f) / {{input_scale}}f).roundToInt() {{plus_input_zero_point}})
      .coerceIn({{input_min}}, {{input_max}}).toByte()
@end

@if ranked
  private fun show(output: List<Float>): List<String> {
@if softmax
    val highest = output.max() // logits to probabilities
    val exponentials = output.map { exp(it - highest) }
    val total = exponentials.sum()
    val classes = exponentials.map { it / total }
@end
@if sigmoid !single
    val classes = output.map { 1 / (1 + exp(-it)) } // logits to probabilities
@end
@if sigmoid single
    val probability = 1 / (1 + exp(-output[0])) // a logit to the probability of the second class
    val classes = listOf(1 - probability, probability)
@end
@if !sigmoid single
    val classes = listOf(1 - output[0], output[0]) // the output is the probability of the second class
@end
@if !softmax !sigmoid !single
    val classes = output // probabilities
@end
    val best = classes.indices.sortedByDescending { classes[it] }.take(5)
    return best.map { "${labels[it]}: ${"%.2f".format(100 * classes[it])}%" }
  }
@end
@if numbers
  private fun show(output: List<Float>): List<String> = output.mapIndexed { i, value -> "${labels[i]}: $value" }
@end
@if mask
  private fun show(output: List<Float>): List<String> {
    // The index of the class of each pixel, row by row: {{output_height}} x {{output_width}}.
@if single
    val mask = output.map { if (it > {{half}}) 1 else 0 }
@else
    val mask = output.chunked({{outputs}}).map { scores -> scores.indices.maxByOrNull { scores[it] }!! }
@end
    return mask.groupingBy { it }.eachCount().map { (index, count) ->
      "${labels[index]}: ${"%.2f".format(100f * count / mask.size)}%"
    }
  }
@end
@if vector
  private fun show(output: List<Float>): List<String> = output.take(8).map { "$it" }
@end

  /** Resizes without keeping the proportions; halving first averages pixels that would be skipped otherwise. */
  private fun resize(photo: Bitmap): Bitmap {
    var image = photo
    while (image.width >= 2 * WIDTH || image.height >= 2 * HEIGHT) {
      val width = maxOf((image.width + 1) / 2, minOf(image.width, WIDTH))
      val height = maxOf((image.height + 1) / 2, minOf(image.height, HEIGHT))
      image = Bitmap.createScaledBitmap(image, width, height, true)
    }
    val resized = Bitmap.createBitmap(WIDTH, HEIGHT, Bitmap.Config.ARGB_8888)
    val canvas = Canvas(resized)
    canvas.drawColor(Color.WHITE) // transparent pixels become white
    canvas.drawBitmap(image, null, Rect(0, 0, WIDTH, HEIGHT), Paint(Paint.FILTER_BITMAP_FLAG))
    return resized
  }

  override fun close() {
    (inputs + outputs).forEach { it.close() }
    model.close()
  }

  private companion object {
    const val WIDTH = {{width}}
    const val HEIGHT = {{height}}
    const val CHANNELS = {{channels}} // {{colors}}
  }
}
