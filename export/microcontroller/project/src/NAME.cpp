#include "@name@.h"

namespace @name@ {

alignas(16) const unsigned char kModel[kModelBytes] = {
@array@
};

const char* const kLabels[kLabelCount] = {
@labels@
};

}  // namespace @name@
