// app/build.gradle.kts, with minSdk 28:
//   dependencies { implementation("com.google.mediapipe:tasks-vision:{{mediapipe_android}}") }
//   android { androidResources { noCompress += "tflite" } }
// Put {{file}} into app/src/main/assets; the labels are in it.
import android.content.Context
import android.graphics.Bitmap
import com.google.mediapipe.framework.image.BitmapImageBuilder
@if mask
import com.google.mediapipe.framework.image.ByteBufferExtractor
@end
import com.google.mediapipe.tasks.core.BaseOptions
@if ranked
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier.ImageClassifierOptions
@else
import com.google.mediapipe.tasks.vision.imagesegmenter.ImageSegmenter
import com.google.mediapipe.tasks.vision.imagesegmenter.ImageSegmenter.ImageSegmenterOptions
@end

/** Takes bitmaps in ARGB_8888 of any size, which MediaPipe resizes. */
class Predictor(context: Context) : AutoCloseable {
  private val base = BaseOptions.builder().setModelAssetPath("{{file}}").build()
@if ranked
  private val classifier = ImageClassifier.createFromOptions(
    context, ImageClassifierOptions.builder().setBaseOptions(base).setMaxResults(5).build()
  )

  fun predict(photo: Bitmap): List<String> {
    val result = classifier.classify(BitmapImageBuilder(photo).build())
    val categories = result.classificationResult().classifications()[0].categories()
    return categories.map { "${it.categoryName()}: ${"%.2f".format(100 * it.score())}%" }
  }

  override fun close() = classifier.close()
@else
  private val segmenter = ImageSegmenter.createFromOptions(
    context,
    ImageSegmenterOptions.builder().setBaseOptions(base).setOutputCategoryMask(true)
      .setOutputConfidenceMasks(false).build()
  )

  fun predict(photo: Bitmap): List<String> {
    val mask = segmenter.segment(BitmapImageBuilder(photo).build()).categoryMask().get()
@if single
    val classes = ByteBufferExtractor.extract(mask) // 0 where a pixel is of the second of two classes, else 255
@else
    val classes = ByteBufferExtractor.extract(mask) // the index of the class of each pixel, row by row
@end
    val counts = IntArray(256)
    while (classes.hasRemaining()) counts[classes.get().toInt() and 255]++
    return segmenter.labels.mapIndexed { index, label ->
      "$label: ${"%.2f".format(100f * counts[index] / (mask.width * mask.height))}%"
    }
  }

  override fun close() = segmenter.close()
@end
}
