// Compiled once per instruction set (CMakeLists.txt), with CORR2D_ISA as the name. All functions are static members of
// that namespace, so that no two instruction sets share one.
#include "direct.hpp"

#define CORR2D_TEXT(name) #name
#define CORR2D_QUOTED(name) CORR2D_TEXT(name)

namespace corr2d {
namespace CORR2D_ISA {

extern const Table table;
const Table table = {
    CORR2D_QUOTED(CORR2D_ISA),
    {direct_scratch_bytes<float>, direct_run<float>},
    {direct_scratch_bytes<double>, direct_run<double>},
};

}  // namespace CORR2D_ISA
}  // namespace corr2d
