// The only file that knows Python. Arrays come in through the buffer protocol, which, unlike DLPack, passes read-only,
// byte-swapped and unaligned arrays.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "block.hpp"
#include "dispatch.hpp"
#include "exact.hpp"
#include "pool.hpp"

namespace nb = nanobind;

namespace corr2d {
namespace {

class Buffer {
  public:
    Buffer(nb::handle array, bool writable) {
        const int flags = PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(array.ptr(), &view, flags) != 0) throw nb::python_error();
    }
    ~Buffer() { PyBuffer_Release(&view); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    Py_buffer view;
};

struct Format {
    Pixel pixel;
    bool swapped;
};

bool is_little_endian() {
    const std::uint16_t one = 1;
    return *reinterpret_cast<const unsigned char*>(&one) == 1;
}

Format parse_format(const Py_buffer& view) {
    const std::string format = view.format ? view.format : "B";
    const char order = format[0];
    const bool has_order = order == '<' || order == '>' || order == '!' || order == '=' || order == '@';
    const std::string code = has_order ? format.substr(1) : format;
    const bool swapped = is_little_endian() ? (order == '>' || order == '!') : order == '<';
    const auto size = view.itemsize;
    if (code.size() == 1) {
        const bool is_unsigned = std::string("BHILQ").find(code) != std::string::npos;
        const bool is_signed = std::string("bhilq").find(code) != std::string::npos;
        if (is_unsigned || is_signed) {
            if (size == 1) return {is_unsigned ? Pixel::u8 : Pixel::i8, false};
            if (size == 2) return {is_unsigned ? Pixel::u16 : Pixel::i16, swapped};
            if (size == 4) return {is_unsigned ? Pixel::u32 : Pixel::i32, swapped};
            if (size == 8) return {is_unsigned ? Pixel::u64 : Pixel::i64, swapped};
        }
        if (code == "?") return {Pixel::b8, false};
        if (code == "e") return {Pixel::f16, swapped};
        if (code == "f") return {Pixel::f32, swapped};
        if (code == "d") return {Pixel::f64, swapped};
    }
    throw std::invalid_argument("the engine has no pixel type '" + format + "'");
}

template <class Byte>
Planes<Byte> planes_of(const Py_buffer& view) {
    if (view.ndim < 2) throw std::invalid_argument("image and out need two axes");
    const Format format = parse_format(view);
    const int n = view.ndim;
    return {static_cast<Byte*>(view.buf), n - 2, view.shape, view.strides, view.shape[n - 2], view.shape[n - 1],
            view.strides[n - 2], view.strides[n - 1], format.pixel, format.swapped};
}

template <class Byte>
std::ptrdiff_t count_planes(const Planes<Byte>& planes) {
    std::ptrdiff_t n = 1;
    for (std::ptrdiff_t axis = 0; axis < planes.axes; ++axis) n *= planes.axis_lengths[axis];
    return n;
}

// Memory aligned to 64 bytes. Not aligned_alloc: glibc before 2.38 does not find what it freed again for the next, and
// grows by every band.
class Memory {
  public:
    Memory() = default;
    explicit Memory(std::size_t bytes) : bytes(bytes), base(static_cast<char*>(std::malloc(bytes + 64)), std::free) {
        if (!base) throw std::bad_alloc();
    }
    char* get() const { return base.get() + (64 - reinterpret_cast<std::uintptr_t>(base.get()) % 64); }

    std::size_t bytes = 0;

  private:
    std::unique_ptr<char, decltype(&std::free)> base{nullptr, std::free};
};

// Scratch memory for the tasks of one call. Fresh memory costs a page fault every 4 KiB, which made a tenth of a 9 x 9 call: a task
// takes what an earlier one has left, and what is little each thread keeps for the next call. Under the address sanitizer
// nothing outlives a call, so that its ends are watched.
class Scratch {
  public:
    explicit Scratch(std::size_t bytes) : bytes(bytes) {}

    // Calls run(memory).
    template <class Run>
    void lend(const Run& run) {
#ifdef __SANITIZE_ADDRESS__
        constexpr std::size_t little = 0;
#else
        constexpr std::size_t little = 1 << 20;
#endif
        if (bytes <= little) {
            thread_local Memory kept;
            if (kept.bytes < bytes) kept = Memory(bytes);
            return run(kept.get());
        }
        Memory memory = take();
        run(memory.get());
        const std::lock_guard<std::mutex> lock(mutex);
        left.push_back(std::move(memory));
    }

  private:
    Memory take() {
        {
            const std::lock_guard<std::mutex> lock(mutex);
            if (!left.empty()) {
                Memory memory = std::move(left.back());
                left.pop_back();
                return memory;
            }
        }
        return Memory(bytes);
    }

    const std::size_t bytes;
    std::mutex mutex;
    std::vector<Memory> left;
};

// An array of float64 with the axes (channels out, channels in, rows, columns), the first two left out where both are 1.
class Weights {
  public:
    explicit Weights(nb::handle array) : buffer(array, false) {
        const Py_buffer& view = buffer.view;
        const Format format = parse_format(view);
        if (format.pixel != Pixel::f64 || format.swapped || (view.ndim != 2 && view.ndim != 4)) {
            throw std::invalid_argument("weights and factors must be float64, with two axes or four");
        }
        for (int axis = 4 - view.ndim; axis < 4; ++axis) {
            shape[axis] = view.shape[axis - 4 + view.ndim];
            strides[axis] = view.strides[axis - 4 + view.ndim];
        }
    }

    double at(std::ptrdiff_t o, std::ptrdiff_t i, std::ptrdiff_t v, std::ptrdiff_t u) const {
        double weight;
        const char* const address = static_cast<const char*>(buffer.view.buf);
        std::memcpy(&weight, address + o * strides[0] + i * strides[1] + v * strides[2] + u * strides[3], sizeof weight);
        return weight;
    }

    std::ptrdiff_t shape[4] = {1, 1, 1, 1};

  private:
    Buffer buffer;
    std::ptrdiff_t strides[4] = {0, 0, 0, 0};
};

// The terms of a job, and the numbers they point to.
class Terms {
  public:
    // `given`: a tuple (weights, columns, rows, top, left) for each; columns and rows are None unless the way is separable.
    Terms(nb::sequence given, Way way, bool in_float64, bool with_exact) {
        std::deque<Weights> weights, columns, rows;  // a Buffer cannot be moved
        std::vector<std::ptrdiff_t> origins;
        for (nb::handle item : given) {
            const nb::tuple term = nb::cast<nb::tuple>(item);
            weights.emplace_back(term[0]);
            if (way == Way::separable) {
                columns.emplace_back(term[1]);
                rows.emplace_back(term[2]);
            }
            origins.push_back(nb::cast<std::ptrdiff_t>(term[3]));
            origins.push_back(nb::cast<std::ptrdiff_t>(term[4]));
        }
        if (weights.empty()) throw std::invalid_argument("a correlation needs a term");
        channels_out = weights[0].shape[0];
        channels_in = weights[0].shape[1];
        for (std::size_t t = 0; t < weights.size(); ++t) {
            const std::ptrdiff_t* shape = weights[t].shape;
            bool fits = shape[0] == channels_out && shape[1] == channels_in && shape[2] > 0 && shape[3] > 0;
            if (way == Way::separable) {
                const std::ptrdiff_t *c = columns[t].shape, *r = rows[t].shape;
                fits = fits && c[0] == channels_out && c[1] == channels_in && c[3] == shape[2] && r[0] == channels_out &&
                       r[1] == channels_in && r[3] == shape[3] && c[2] == r[2] && c[2] > 0;
            }
            if (!fits) throw std::invalid_argument("the shapes of weights and factors do not fit");
        }
        for (std::ptrdiff_t o = 0; o < channels_out; ++o) {
            for (std::size_t t = 0; t < weights.size(); ++t) {
                for (std::ptrdiff_t i = 0; i < channels_in; ++i) {
                    const Weights& w = weights[t];
                    Term term{i, w.shape[2], w.shape[3], origins[2 * t], origins[2 * t + 1], nullptr, nullptr, nullptr, nullptr, 0};
                    term.weights = keep(w.shape[3], w.shape[2], in_float64, [&](auto u, auto v) { return w.at(o, i, v, u); });
                    if (with_exact) {
                        const void* exact = keep(w.shape[2], w.shape[3], true, [&](auto v, auto u) { return w.at(o, i, v, u); });
                        term.exact = static_cast<const double*>(exact);
                    }
                    if (way == Way::separable) {
                        const Weights &c = columns[t], &r = rows[t];
                        term.rank = c.shape[2];
                        term.columns = keep(c.shape[2], c.shape[3], in_float64, [&](auto n, auto v) { return c.at(o, i, n, v); });
                        term.rows = keep(r.shape[2], r.shape[3], in_float64, [&](auto n, auto u) { return r.at(o, i, n, u); });
                    }
                    terms.push_back(term);
                }
            }
        }
    }

    Terms(const Terms&) = delete;
    Terms& operator=(const Terms&) = delete;

    std::ptrdiff_t channels_out, channels_in;
    std::vector<Term> terms;

  private:
    template <class Number>
    const void* keep(std::ptrdiff_t rows, std::ptrdiff_t columns, bool in_float64, const Number& number) {
        const std::size_t size = in_float64 ? sizeof(double) : sizeof(float);
        numbers.emplace_back(new char[std::size_t(rows * columns) * size]);
        char* to = numbers.back().get();
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
            for (std::ptrdiff_t c = 0; c < columns; ++c, to += size) {
                const double exact = number(r, c);
                const float rounded = float(exact);
                std::memcpy(to, in_float64 ? static_cast<const void*>(&exact) : &rounded, size);
            }
        }
        return numbers.back().get();
    }

    std::vector<std::unique_ptr<char[]>> numbers;
};

// Hears Ctrl-C while the interpreter is not held. Called between bands, it looks only every so often.
class Interrupts {
  public:
    void operator()() {
        const auto now = std::chrono::steady_clock::now();
        if (now - last < std::chrono::milliseconds(20)) return;
        last = now;
        const nb::gil_scoped_acquire locked;
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
    }

  private:
    std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
};

// A correlation, ready to be run over any pictures, from any thread.
class Correlation {
  public:
    Correlation(nb::sequence given, std::ptrdiff_t row_step, std::ptrdiff_t column_step, int border, double cval, double bias,
                double near_tie, Way way, bool in_float64, std::ptrdiff_t tile, const Table& table)
        : terms(given, way, in_float64, near_tie > 0), algorithm((in_float64 ? table.f64 : table.f32)[int(way)]) {
        if (row_step < 1 || column_step < 1) throw std::invalid_argument("steps must be at least 1");
        if (way == Way::fft && !is_side(tile)) {
            throw std::invalid_argument("the FFT's tile must be a power of two, or three times one, of at least 32");
        }
        job.channels_in = terms.channels_in;
        job.channels_out = terms.channels_out;
        job.terms = terms.terms.data();
        job.terms_each = std::ptrdiff_t(terms.terms.size()) / terms.channels_out;
        job.kh = job.kw = 0;
        for (const Term& term : terms.terms) {
            job.kh = std::max(job.kh, term.kh);
            job.kw = std::max(job.kw, term.kw);
        }
        job.row_step = row_step;
        job.column_step = column_step;
        job.border = static_cast<Border>(border);
        job.cval = cval;
        job.bias = bias;
        job.near_tie = near_tie;
        job.tile = tile;
    }

    // Fills `out` in about so many bands, each of a multiple of `least` units, by at most so many threads. True: a NaN met an
    // integer pixel.
    bool run(nb::handle image, nb::handle out, std::ptrdiff_t threads, std::ptrdiff_t bands, std::ptrdiff_t least) const {
        const Buffer from(image, false), to(out, true);
        const Job job = job_of(from, to);
        if (threads < 1 || bands < 1 || least < 1) throw std::invalid_argument("threads, bands and least must be at least 1");
        if (job.planes == 0 || job.out.height == 0 || job.out.width == 0) return false;
        if (job.image.height == 0 || job.image.width == 0) throw std::invalid_argument("the image must not be empty");

        const nb::gil_scoped_release unlocked;
        const Memory shared(algorithm.shared_bytes(job));
        algorithm.prepare(job, shared.get());
        Scratch scratch(algorithm.scratch_bytes(job));
        const std::ptrdiff_t units = algorithm.units(job);
        const std::ptrdiff_t step = std::max<std::ptrdiff_t>(1, (units + bands * least - 1) / (bands * least)) * least;
        std::atomic<bool> met_nan{false};
        const auto band = [&](std::ptrdiff_t i) {
            scratch.lend([&](char* memory) {
                if (algorithm.run(job, shared.get(), i * step, std::min((i + 1) * step, units), memory)) met_nan = true;
            });
        };
        for_each_task((units + step - 1) / step, threads, band, Interrupts());
        return met_nan;
    }

    // How many units there are to do.
    std::ptrdiff_t units(nb::handle image, nb::handle out) const {
        const Buffer from(image, false), to(out, true);
        return algorithm.units(job_of(from, to));
    }

  private:
    Job job_of(const Buffer& from, const Buffer& to) const {
        Job job = this->job;
        job.image = planes_of<const char>(from.view);
        job.out = planes_of<char>(to.view);
        job.planes = count_planes(job.out);
        const std::ptrdiff_t pictures = count_planes(job.image) / terms.channels_in;
        if (pictures * terms.channels_in != count_planes(job.image) || pictures * terms.channels_out != job.planes) {
            throw std::invalid_argument("image and out differ in their leading axes");
        }
        const bool writable = job.out.pixel != Pixel::b8 && job.out.pixel != Pixel::f16;
        if (job.out.swapped || !writable) throw std::invalid_argument("the engine cannot write this type");
        return job;
    }

    Terms terms;
    Job job;
    Algorithm algorithm;
};

class Array {  // of float64, contiguous
  public:
    Array(nb::handle array, bool writable, int axes) : buffer(array, writable) {
        const Py_buffer& view = buffer.view;
        const Format format = parse_format(view);
        if (format.pixel != Pixel::f64 || format.swapped || view.ndim != axes || !PyBuffer_IsContiguous(&view, 'C')) {
            throw std::invalid_argument("sums must be contiguous float64");
        }
    }
    double* at(std::ptrdiff_t i) const { return static_cast<double*>(buffer.view.buf) + i * buffer.view.strides[0] / 8; }
    const std::ptrdiff_t* shape() const { return buffer.view.shape; }

  private:
    Buffer buffer;
};

// out = matrix @ vector to the last bit, some rows a task.
void exact_products(nb::handle matrix, nb::handle vector, nb::handle out, std::ptrdiff_t threads) {
    const Array a(matrix, false, 2), b(vector, false, 1), c(out, true, 1);
    const std::ptrdiff_t rows = a.shape()[0], columns = a.shape()[1];
    if (b.shape()[0] != columns || c.shape()[0] != rows) throw std::invalid_argument("the shapes of matrix, vector and out do not fit");
    if (threads < 1) throw std::invalid_argument("threads must be at least 1");
    const nb::gil_scoped_release unlocked;
    constexpr std::ptrdiff_t some = 64;
    const auto fill = [&](std::ptrdiff_t i) {
        fill_exact_products(a.at(i * some), std::min(some, rows - i * some), columns, b.at(0), c.at(i * some));
    };
    for_each_task((rows + some - 1) / some, threads, fill, Interrupts());
}

// The sums of z z^T, z = (windows, background, 1, pixel), over blocks of a pair of pictures.
class Moments {
  public:
    using Two = std::pair<std::ptrdiff_t, std::ptrdiff_t>;  // rows, columns
    using FourNumbers = std::tuple<double, double, double, double>;

    // `centers`: of each channel of `before`, then of `after`; `degrees`: of the kernel and the bias, as polynomials of the position;
    // `frames`: of `before` and of `after`.
    Moments(nb::handle before, nb::handle after, nb::sequence given, Two size, Two step, Two gap, nb::sequence centers, Two degrees,
            std::pair<FourNumbers, FourNumbers> frames, nb::handle sums, const Table& table)
        : x(before, false), y(after, false), sums(sums, true, 3) {
        for (nb::handle center : centers) this->centers.push_back(nb::cast<double>(center));
        const auto frame = [](const FourNumbers& f) { return Frame{std::get<0>(f), std::get<1>(f), std::get<2>(f), std::get<3>(f)}; };
        const Planes<const char> from = planes_of<const char>(x.view);
        pair = {from,         planes_of<const char>(y.view), count_planes(from),   size.first,        size.second,
                step.first,   step.second,                   gap.first,            gap.second,        this->centers.data(),
                degrees.first, degrees.second,               frame(frames.first), frame(frames.second)};
        const std::ptrdiff_t height = pair.after.height, width = pair.after.width;
        const auto reach = [](std::ptrdiff_t n, std::ptrdiff_t step, std::ptrdiff_t k, std::ptrdiff_t gap) {
            return (n - 1) * step + (k - 1) * gap + 1;
        };
        if (x.view.ndim > 3 || y.view.ndim != 2 || pair.channels < 1 || std::ptrdiff_t(this->centers.size()) != pair.channels + 1 ||
            std::min({size.first, size.second, step.first, step.second, gap.first, gap.second}) < 1 ||
            pair.before.height != reach(height, step.first, size.first, gap.first) ||
            pair.before.width != reach(width, step.second, size.second, gap.second)) {
            throw std::invalid_argument("the shapes of before, after, the centers and the window do not fit");
        }
        if (std::min(pair.varying, pair.background) < 0 || std::max(pair.varying, pair.background) > 9) {
            throw std::invalid_argument("degrees must be 0 to 9");
        }
        order = order_of(pair);
        for (nb::handle item : given) {
            const auto [top, left, rows, columns] =
                nb::cast<std::tuple<std::ptrdiff_t, std::ptrdiff_t, std::ptrdiff_t, std::ptrdiff_t>>(item);
            if (top < 0 || left < 0 || rows < 1 || columns < 1 || top + rows > height || left + columns > width) {
                throw std::invalid_argument("a block must lie inside `after`");
            }
            blocks.push_back({top, left, rows, columns});
        }
        const std::ptrdiff_t* const shape = this->sums.shape();
        if (shape[0] != std::ptrdiff_t(blocks.size()) || shape[1] != order || shape[2] != order) {
            throw std::invalid_argument("there must be a matrix for each block");
        }
        const auto is_whole = [](Pixel pixel, double center) {
            return (pixel == Pixel::u8 && center == 128) || (pixel == Pixel::i8 && center == 0);
        };
        bool whole = pair.varying == 0 && pair.background == 0 && is_whole(pair.after.pixel, this->centers.back());
        for (std::ptrdiff_t c = 0; c < pair.channels; ++c) whole = whole && is_whole(pair.before.pixel, this->centers[std::size_t(c)]);
        lags = whole ? &table.whole_lags : &table.real_lags;
        real = &table.real_lags;
    }

    // Over all pixels, directly or by FFTs of a side. Tile by tile, and added in their order: the same bits for any number of threads.
    void fill_by_lags(std::ptrdiff_t side, std::ptrdiff_t threads) const {
        if (std::max({pair.row_step, pair.column_step, pair.row_gap, pair.column_gap}) > 1) {
            throw std::invalid_argument("lags want windows and taps on neighbouring pixels");
        }
        if (side != 0 && !fits_lags(pair, side)) {
            throw std::invalid_argument("the side must be 0, or a power of two from 32 to 1024 that the lags fit in");
        }
        const nb::gil_scoped_release unlocked;
        std::vector<std::pair<std::size_t, Area>> tiles;  // of which block, and where
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            const Area& block = blocks[i];
            const Area tile = side == 0 ? Area{0, 0, lags->tile_rows, lags->tile_columns} : lags->part(pair, block, side);
            for (std::ptrdiff_t v = 0; v < block.rows; v += tile.rows) {
                for (std::ptrdiff_t u = 0; u < block.columns; u += tile.columns) {
                    tiles.push_back({i,
                                     {block.top + v, block.left + u, std::min(tile.rows, block.rows - v),
                                      std::min(tile.columns, block.columns - u)}});
                }
            }
        }
        const std::size_t add_bytes = side == 0 ? lags->add_bytes(pair) : lags->add_by_fft_bytes(pair, side);
        const auto add = [&](const Area& tile, double* to, char* scratch) {
            side == 0 ? lags->add(pair, tile, to, scratch) : lags->add_by_fft(pair, tile, side, to, scratch);
        };
        // Many tiles of a large window: so many at a time that their sums stay within some megabytes.
        const std::size_t count = std::size_t(lag_count(pair)), most = 1 + (std::size_t(32) << 20) / (count * sizeof(double));
        std::vector<double> of_tiles(count * std::min(most, tiles.size())), of_blocks(count * blocks.size());
        for (std::size_t first = 0; first < tiles.size(); first += most) {
            const std::size_t n = std::min(most, tiles.size() - first);
            std::fill(of_tiles.begin(), of_tiles.end(), 0.0);
            in_parallel(n, threads, add_bytes, [&](std::size_t i, char* scratch) {
                add(tiles[first + i].second, of_tiles.data() + i * count, scratch);
            });
            for (std::size_t i = 0; i < n; ++i) {
                double* const block = of_blocks.data() + tiles[first + i].first * count;
                for (std::size_t j = 0; j < count; ++j) block[j] += of_tiles[i * count + j];
            }
        }
        in_parallel(blocks.size(), threads, lags->fill_bytes(pair), [&](std::size_t i, char* scratch) {
            lags->fill(pair, blocks[i], of_blocks.data() + i * count, matrix(i), scratch);
        });
    }

    // Over the pixels whose mask is as wanted, each as often as its weight says, if there are any.
    void fill_by_patches(nb::handle given, bool wanted, nb::handle weights, std::ptrdiff_t threads) const {
        const auto plane = [&](const Buffer& buffer, Pixel pixel, const char* wrong) {
            const Planes<const char> found = planes_of<const char>(buffer.view);
            if (buffer.view.ndim != 2 || found.pixel != pixel || found.height != pair.after.height || found.width != pair.after.width) {
                throw std::invalid_argument(wrong);
            }
            return found;
        };
        const Buffer mask(given, false);
        Chosen chosen{plane(mask, Pixel::b8, "the mask must be bool and as large as `after`"), wanted, {}};
        std::unique_ptr<Buffer> buffer;
        if (!weights.is_none()) {
            buffer = std::make_unique<Buffer>(weights, false);
            chosen.weights = plane(*buffer, Pixel::f64, "weights must be float64 and as large as `after`");
        }
        const Lags* const lags = weights.is_none() ? this->lags : real;
        const nb::gil_scoped_release unlocked;
        // Of a few blocks, each matrix is cut into bands of rows, which costs making the same patches for each.
        const std::ptrdiff_t bands = std::min((order + 47) / 48, 15 / std::ptrdiff_t(blocks.size()) + 1), rows = (order + bands - 1) / bands;
        const std::size_t each = std::size_t((order + rows - 1) / rows);
        for (std::size_t i = 0; i < blocks.size(); ++i) std::fill_n(matrix(i), order * order, 0.0);
        in_parallel(blocks.size() * each, threads, lags->patch_bytes(pair), [&](std::size_t i, char* scratch) {
            const std::ptrdiff_t first = std::ptrdiff_t(i % each) * rows;
            lags->add_patches(pair, blocks[i / each], chosen, first, std::min(first + rows, order), matrix(i / each), scratch);
        });
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            double* const gram = matrix(i);
            for (std::ptrdiff_t r = 0; r < order; ++r) {
                for (std::ptrdiff_t c = 0; c < r; ++c) gram[r * order + c] = gram[c * order + r];
            }
        }
    }

  private:
    double* matrix(std::size_t i) const { return sums.at(std::ptrdiff_t(i)); }

    template <class Task>
    static void in_parallel(std::size_t n, std::ptrdiff_t threads, std::size_t scratch_bytes, const Task& task) {
        Scratch scratch(scratch_bytes);
        const auto run = [&](std::ptrdiff_t i) { scratch.lend([&](char* memory) { task(std::size_t(i), memory); }); };
        for_each_task(std::ptrdiff_t(n), threads, run, Interrupts());
    }

    const Buffer x, y;
    const Array sums;
    std::vector<double> centers;
    Pair pair;
    std::ptrdiff_t order;
    std::vector<Area> blocks;
    const Lags *lags, *real;  // what suits the pair, and what suits any
};

int block_buffer(PyObject* self, Py_buffer* view, int flags) {
    const Block& block = *nb::inst_ptr<Block>(self);
    return PyBuffer_FillInfo(view, self, block.get(), Py_ssize_t(block.bytes), 0, flags);
}

}  // namespace
}  // namespace corr2d

NB_MODULE(_engine, m) {
    using namespace corr2d;
    static const Table* const table = [] {
        const char* name = std::getenv("CORR2D_ISA");
        return &pick_table(name ? name : "");
    }();

    m.attr("isa") = table->name;
    nb::list names;
    for (const Table* usable : usable_tables()) names.append(usable->name);
    m.attr("usable_isas") = nb::tuple(names);

    nb::class_<Correlation>(m, "Correlation")
        .def(
            "__init__",
            [](Correlation* self, nb::sequence terms, std::ptrdiff_t row_step, std::ptrdiff_t column_step, int border, double cval,
               double bias, double near_tie, int way, bool in_float64, std::ptrdiff_t tile) {
                if (way < 0 || way > int(Way::fft)) throw std::invalid_argument("no such way");
                new (self) Correlation(terms, row_step, column_step, border, cval, bias, near_tie, Way(way), in_float64, tile, *table);
            },
            nb::arg("terms"), nb::arg("row_step"), nb::arg("column_step"), nb::arg("border"), nb::arg("cval"), nb::arg("bias"),
            nb::arg("near_tie"), nb::arg("way"), nb::arg("in_float64"), nb::arg("tile"))
        .def("units", &Correlation::units)
        .def("run", &Correlation::run);

    static PyType_Slot buffer_of_block[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(block_buffer)}, {0, nullptr}};
    nb::class_<Block>(m, "Block", nb::type_slots(buffer_of_block)).def(nb::init<std::size_t>());

    m.def("exact_products", &exact_products, nb::arg("matrix"), nb::arg("vector"), nb::arg("out"), nb::arg("threads"));

    m.def(
        "fill_moments",
        [](nb::handle before, nb::handle after, nb::sequence blocks, Moments::Two size, Moments::Two step, Moments::Two gap,
           nb::sequence centers, Moments::Two degrees, std::pair<Moments::FourNumbers, Moments::FourNumbers> frames, nb::handle sums,
           nb::handle mask, bool wanted, nb::handle weights, std::ptrdiff_t threads, std::ptrdiff_t side) {
            if (threads < 1) throw std::invalid_argument("threads must be at least 1");
            const Moments moments(before, after, blocks, size, step, gap, centers, degrees, frames, sums, *table);
            if (mask.is_none()) {
                moments.fill_by_lags(side, threads);
            } else {
                moments.fill_by_patches(mask, wanted, weights, threads);
            }
        },
        nb::arg("before"), nb::arg("after"), nb::arg("blocks"), nb::arg("size"), nb::arg("step"), nb::arg("gap"), nb::arg("centers"),
        nb::arg("degrees"), nb::arg("frames"), nb::arg("sums"), nb::arg("mask").none(), nb::arg("wanted"), nb::arg("weights").none(),
        nb::arg("threads"), nb::arg("side") = 0);
}
