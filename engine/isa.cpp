// Compiled once per instruction set (CMakeLists.txt), with CORR2D_ISA as the name. All functions are static members of
// that namespace, so that no two instruction sets share one.
#include "direct.hpp"
#include "fft.hpp"
#include "lags.hpp"
#include "lags_fft.hpp"
#include "separable.hpp"

#define CORR2D_TEXT(name) #name
#define CORR2D_QUOTED(name) CORR2D_TEXT(name)

namespace corr2d {
namespace CORR2D_ISA {

extern const Table table;
const Table table = {
    CORR2D_QUOTED(CORR2D_ISA),
    {{row_units, no_shared_bytes, no_prepare, direct_scratch_bytes<float>, direct_run<float>},
     {row_units, no_shared_bytes, no_prepare, separable_scratch_bytes<float>, separable_run<float>},
     {fft_units<float>, fft_shared_bytes<float>, fft_prepare<float>, fft_scratch_bytes<float>, fft_run<float>}},
    {{row_units, no_shared_bytes, no_prepare, direct_scratch_bytes<double>, direct_run<double>},
     {row_units, no_shared_bytes, no_prepare, separable_scratch_bytes<double>, separable_run<double>},
     {fft_units<double>, fft_shared_bytes<double>, fft_prepare<double>, fft_scratch_bytes<double>, fft_run<double>}},
    {Whole::tile_rows, Whole::tile_columns, lags_bytes<Whole>, add_lags<Whole>, LagSquares::part, LagsByFft::bytes, add_lags_by_fft,
     fill_bytes<Whole>, fill_gram<Whole>, Patches<Whole>::bytes, add_patches<Whole>},
    {Real::tile_rows, Real::tile_columns, lags_bytes<Real>, add_lags<Real>, LagSquares::part, LagsByFft::bytes, add_lags_by_fft,
     fill_bytes<Real>, fill_gram<Real>, Patches<Real>::bytes, add_patches<Real>},
};

}  // namespace CORR2D_ISA
}  // namespace corr2d
