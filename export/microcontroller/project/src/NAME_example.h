// @example_file@: an image to test with, rows of pixels with @channels@ channel(s), 0 to 255.
#ifndef @guard@_EXAMPLE_H_
#define @guard@_EXAMPLE_H_

namespace @name@ {

constexpr unsigned char kExample[] = {
@example_pixels@
};

}  // namespace @name@

#endif  // @guard@_EXAMPLE_H_
