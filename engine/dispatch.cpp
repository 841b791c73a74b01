#include "dispatch.hpp"

#include <stdexcept>

namespace corr2d {

namespace baseline {
extern const Table table;
}
#ifdef CORR2D_HAS_avx2
namespace avx2 {
extern const Table table;
}
#endif
#ifdef CORR2D_HAS_avx512
namespace avx512 {
extern const Table table;
}
#endif

std::vector<const Table*> usable_tables() {
    std::vector<const Table*> tables;
#ifdef CORR2D_HAS_avx512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma")) {
        tables.push_back(&avx512::table);
    }
#endif
#ifdef CORR2D_HAS_avx2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) tables.push_back(&avx2::table);
#endif
    tables.push_back(&baseline::table);
    return tables;
}

const Table& pick_table(const std::string& name) {
    const std::vector<const Table*> tables = usable_tables();
    if (name.empty()) return *tables.front();
    std::string names;
    for (const Table* table : tables) {
        if (name == table->name) return *table;
        names += (names.empty() ? "'" : ", '") + std::string(table->name) + "'";
    }
    throw std::invalid_argument("CORR2D_ISA must be one of " + names + " on this machine, got '" + name +
                                "'. Unset it to take the first.");
}

}  // namespace corr2d
