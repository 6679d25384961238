#include "litert/cc/litert_common.h"
