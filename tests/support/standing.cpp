#include "support/standing.hpp"

namespace support {

std::vector<standing> all_standing() { return {}; }

} // namespace support
