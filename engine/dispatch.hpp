#pragma once
#include <string>
#include <vector>

#include "job.hpp"

namespace corr2d {

// The instruction sets that this build has and this processor runs, best first.
std::vector<const Table*> usable_tables();

// The one called `name`, or the best where `name` is empty. Throws std::invalid_argument.
const Table& pick_table(const std::string& name);

}  // namespace corr2d
